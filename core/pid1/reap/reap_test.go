package reap

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// As PID 1 would be, this process is made the one that orphans come to.
func TestMain(m *testing.M) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func running(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { Run(ctx, slog.New(slog.DiscardHandler)); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

// Storms of orphans and of our own children together: every status arrives,
// and no zombie stays (T16).
func TestOrphansGoAndOurOwnKeepTheirStatus(t *testing.T) {
	running(t)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			// leaves 5 orphans that die at once and a little later
			cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("for i in 1 2 3 4 5; do (sleep 0.0$i &) ; done; exit %d", i))
			err := cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != i {
				t.Errorf("child %d: code %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	noneLeft(t)
}

// A child of ours that nobody waits for yet does not keep orphans from being
// reaped.
func TestAChildNotWaitedForDoesNotHideOrphans(t *testing.T) {
	running(t)
	var late []*exec.Cmd
	for range 3 {
		cmd := exec.Command("/bin/sh", "-c", "exit 7")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		late = append(late, cmd)
	}
	out, err := exec.Command("/bin/sh", "-c", "sleep 0.05 >/dev/null & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	orphan := "/proc/" + strings.TrimSpace(string(out))
	until(t, "the orphan is gone", func() bool { _, err := os.Stat(orphan); return err != nil })
	for _, cmd := range late {
		if _ = cmd.Wait(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
			t.Errorf("%v", cmd.ProcessState)
		}
	}
	noneLeft(t)
}

// Output of a child that is read to its end is complete, reaper or not.
func TestOutputIsWhole(t *testing.T) {
	running(t)
	cmd := exec.Command("/bin/sh", "-c", "head -c 1000000 /dev/zero; exit 3")
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n, _ := io.Copy(io.Discard, out)
	if _ = cmd.Wait(); n != 1000000 || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("%d bytes, %v", n, cmd.ProcessState)
	}
}

func noneLeft(t *testing.T) {
	t.Helper()
	until(t, "no zombie is left", func() bool { return len(zombies()) == 0 })
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s; zombies %v", what, zombies())
		}
	}
}
