package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// When the first is set, the test binary is a core that starts a child with the
// script of the second and waits to be killed.
const (
	coreDir    = "PROCESS_TEST_CORE_DIR"
	coreScript = "PROCESS_TEST_CORE_SCRIPT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(coreDir); dir != "" {
		_, err := Start(shimmed(dir, os.Getenv(coreScript)))
		fmt.Println(err)
		select {}
	}
	os.Exit(m.Run())
}

// leave starts a child in a core of its own, which is then killed.
func leave(t *testing.T, dir, script string) {
	t.Helper()
	core := exec.Command("/proc/self/exe")
	core.Env = append(os.Environ(), coreDir+"="+dir, coreScript+"="+script)
	out, err := core.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := core.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = core.Process.Kill()
	_ = core.Wait()
	if err != nil || line != "<nil>\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

func sh(dir, script string) Spec {
	return Spec{Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, RunDir: dir, Grace: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

func shimmed(dir, script string) Spec {
	spec := sh(dir, script)
	spec.Shim = true
	return spec
}

func start(t *testing.T, dir, script string) *Process {
	t.Helper()
	p, err := Start(sh(dir, script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

// fifo is what a child reads to go on.
func fifo(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "go")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// waitLine waits until the child has written something.
func waitLine(t *testing.T, p *Process) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); p.said() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the child said nothing")
		}
	}
}

func TestDeathIsSeenWithItsCause(t *testing.T) {
	dir := t.TempDir()
	<-start(t, dir, "echo an older run; exit 1").Died() // else it may speak after the next has begun
	p := start(t, dir, "read line; echo got $line; exit 12")
	<-p.Died()
	if err := p.Err(); ExitCode(err) != 12 || !strings.Contains(err.Error(), "got") || strings.Contains(err.Error(), "older") {
		t.Fatalf("code %d: %v", ExitCode(err), err)
	}
}

func TestStdinReachesTheChild(t *testing.T) {
	spec := sh(t.TempDir(), "read a; test \"$a\" = hello")
	spec.Stdin = strings.NewReader("hello\n")
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Died()
	if ExitCode(p.Err()) > 0 {
		t.Fatal(p.Err())
	}
}

func TestStopKillsAGroupThatIgnoresTerm(t *testing.T) {
	p := start(t, t.TempDir(), "trap '' TERM; sleep 60 & echo $!; while :; do sleep 1; done")
	waitLine(t, p)
	var grandchild int
	if _, err := fmt.Sscan(p.said(), &grandchild); err != nil {
		t.Fatal(err)
	}
	id, err := Identify(grandchild)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.ID().Alive() {
		t.Error("the child runs")
	}
	for deadline := time.Now().Add(time.Minute); id.Alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the grandchild runs")
		}
	}
	if _, err := Adopt(p.spec); !errors.Is(err, ErrNotRunning) {
		t.Errorf("adopted what was stopped: %v", err)
	}
}

func TestAdoptAfterTheCoreWasKilled(t *testing.T) {
	dir := t.TempDir()
	leave(t, dir, "exec sleep 60")
	p, err := Adopt(sh(dir, ""))
	if err != nil {
		t.Fatal(err)
	}
	if !p.ID().Alive() || p.Err() != nil {
		t.Fatalf("adopted, and not alive: %v", p.Err())
	}
	if err := p.Stop(t.Context()); err != nil || p.Err() == nil {
		t.Fatalf("%v, cause %v", err, p.Err())
	}
}

func TestAPidThatBelongsToAnotherProcessIsNotAdopted(t *testing.T) {
	dir := t.TempDir()
	self, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "child.pid")
	for _, content := range []string{
		fmt.Sprintf("%d %d\n", self.PID, self.Start-1),
		fmt.Sprintf("%d\n", self.PID), "1 0\n", "-1 5\n", "", "garbage",
	} {
		os.WriteFile(path, []byte(content), 0o600)
		if _, err := Adopt(sh(dir, "")); !errors.Is(err, ErrNotRunning) {
			t.Errorf("pid file %q: %v", content, err)
		}
	}
}

// Nobody but the shim can know it: the child's parent is gone.
func TestAnAdoptedChildTellsItsExitCode(t *testing.T) {
	for script, code := range map[string]int{"exit 7": 7, "kill -KILL $$": 137, "true": 0} {
		dir := t.TempDir()
		goOn := fifo(t, dir)
		leave(t, dir, "read x < "+goOn+"; "+script)
		spec := shimmed(dir, "")
		adopted, err := Adopt(spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goOn, []byte("x\n"), 0); err != nil {
			t.Fatal(err)
		}
		<-adopted.Died()
		if ExitCode(adopted.Err()) != code {
			t.Errorf("%s: %v", script, adopted.Err())
		}
		if got, known := LastExit(spec); !known || got != code {
			t.Errorf("%s: the file says %d, %v", script, got, known)
		}
	}
}

func TestWhatAChildSaysIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	<-start(t, dir, "echo ready, an older run").Died()
	p := start(t, dir, "echo not yet; read x < "+fifo(t, dir)+"; echo it is ready now; exec sleep 60")
	cause := errors.New("too long")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
	defer cancel()
	if err := p.Says(ctx, "ready"); !errors.Is(err, cause) {
		t.Fatalf("before it said so: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Says(t.Context(), "ready"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Says(t.Context(), "never"); err == nil || err.Error() != p.Err().Error() {
		t.Errorf("after its end: %v, not %v", err, p.Err())
	}
}

// A shim hands signals on to nobody and dies of none, but its child does.
func TestAShimOutlivesTheSignalOfItsChild(t *testing.T) {
	spec := shimmed(t.TempDir(), "trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done")
	spec.Grace = time.Minute
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	waitLine(t, p)
	if err := p.Stop(t.Context()); err != nil || ExitCode(p.Err()) != 9 {
		t.Errorf("%v, %v", err, p.Err())
	}
}

func TestWhatIsLeftOfAGroupIsKilled(t *testing.T) {
	spec := sh(t.TempDir(), "sleep 60 & echo $!")
	spec.KillRest = true
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Died()
	var left int
	if _, err := fmt.Sscan(p.said(), &left); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := Identify(left); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it runs")
		}
	}
}

// A child that writes all the time while its log is trimmed loses no line.
func TestTrimmedLogsLoseNothing(t *testing.T) {
	spec := newProcess(sh(t.TempDir(), "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done")).spec
	spec.LogSize, spec.LogKeep = 4<<10, 1000
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; {
		select {
		case <-p.Died():
			ended = true
		default:
		}
		if err := spec.trim(); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := spec.openLog(); err != nil || size(f) != 0 {
		t.Fatalf("the next one does not begin with an empty log: %v", err)
	}
	want := 0
	for i := spec.LogKeep; i > 0; i-- {
		text, err := os.ReadFile(older(spec.logPath(), i))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if want++; line != fmt.Sprintf("line %d\n", want) {
				t.Fatalf("%q, want line %d", line, want)
			}
		}
	}
	if want != 20000 {
		t.Errorf("%d lines", want)
	}
}

func TestTrimKeepsSoManyLogs(t *testing.T) {
	spec := newProcess(sh(t.TempDir(), "")).spec
	spec.LogSize, spec.LogKeep = 10, 2
	for i := range 5 {
		if err := os.WriteFile(spec.logPath(), fmt.Appendf(nil, "this is log %d\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := spec.trim(); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[int]string{1: "this is log 4\n", 2: "this is log 3\n", 3: ""} {
		if text, _ := os.ReadFile(older(spec.logPath(), n)); string(text) != want {
			t.Errorf("log %d: %q", n, text)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 5 * time.Second}
	for i, c := range []struct{ ran, want time.Duration }{
		{0, 1}, {0, 2}, {0, 4}, {0, 5}, {0, 5}, {6 * time.Second, 1}, {5 * time.Second, 2},
	} {
		if got := b.Next(c.ran); got != c.want*time.Second {
			t.Errorf("step %d: %v, want %v s", i, got, int(c.want))
		}
	}
	b = Backoff{Min: time.Second, Max: time.Second, Rand: rand.New(rand.NewPCG(1, 2))}
	for range 100 {
		if got := b.Next(0); got < time.Second/2 || got > time.Second {
			t.Fatalf("jittered to %v", got)
		}
	}
}
