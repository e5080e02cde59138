package thread

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPunctual(t *testing.T) {
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() error{Punctual, Measuring} {
		done := make(chan int)
		go func() {
			defer close(done)
			if err := f(); err != nil {
				t.Error(err)
			}
			slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			attr, err2 := unix.SchedGetAttr(0, 0)
			if err != nil || err2 != nil {
				t.Error(err, err2)
				return
			}
			if rt := attr.Policy == unix.SCHED_RR; !rt && (slack != 1 || attr.Nice != -20) {
				t.Errorf("timer slack %d ns, %+v", slack, attr)
			}
		}()
		<-done
	}
	if after, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || after != before {
		t.Errorf("the priority of others is %d, was %d; %v", after, before, err)
	}
}

func TestPrefer(t *testing.T) {
	dir := t.TempDir()
	if err := Prefer(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a kernel that does not group: %v", err)
	}
	file := filepath.Join(dir, "autogroup")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Prefer(dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "-20" {
		t.Errorf("got %q, %v", text, err)
	}
}
