package run

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// runs runs a job to its end, and returns its shim.
func runs(t *testing.T, r *Runner, id string) int {
	t.Helper()
	p, err := r.Start(id, api.ExecRequest{Argv: []string{"true"}}, time.Now())
	if err == nil {
		err = p.Go()
	}
	if err != nil {
		t.Fatal(err)
	}
	code, why := -1, error(nil)
	p.Run(context.Background(), func(byte, uint64, []byte) bool { return true }, func(c int, err error) { code, why = c, err })
	if code != 0 || why != nil {
		t.Fatalf("job %s: code %d, %v", id, code, why)
	}
	return p.id.PID
}

// spare is the shim that is ahead of the next job; it stays there.
func spare(t *testing.T, r *Runner) *Process {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		r.spares.mu.Lock()
		next := r.spares.next
		r.spares.mu.Unlock()
		if next == nil {
			continue
		}
		p := <-next
		next <- p
		return p
	}
	t.Fatal("no shim is made ahead of the next job")
	return nil
}

func fresh(t *testing.T, dir string) *Runner {
	r := New(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(r.Close)
	return r
}

// A shim that was made ahead is that of the next job, unless it was killed or
// told to end by then.
func TestSpare(t *testing.T) {
	r := fresh(t, t.TempDir())
	runs(t, r, "one")
	ahead := spare(t, r).id
	if pid := runs(t, r, "two"); pid != ahead.PID {
		t.Errorf("process %d is the shim, and %d was ahead", pid, ahead.PID)
	}
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		spoilt := spare(t, r)
		if err := syscall.Kill(spoilt.id.PID, signal); err != nil {
			t.Fatal(err)
		}
		for spoilt.id.Alive() && !spoilt.wasStarted() {
			time.Sleep(time.Millisecond)
		}
		if pid := runs(t, r, "three"); pid == spoilt.id.PID {
			t.Errorf("a shim ran a job that had got %s", signal)
		}
		for spoilt.id.Alive() {
			time.Sleep(time.Millisecond)
		}
	}
}

// One that is ahead ends with its Runner, also when that crashes, and the next one
// clears away; it is no job to be adopted.
func TestSpareIsLeft(t *testing.T) {
	for name, end := range map[string]func(r *Runner, p *Process, dir string){
		"ends": func(r *Runner, _ *Process, _ string) { r.Close() },
		"crashed": func(_ *Runner, p *Process, dir string) {
			_ = p.birth.Close() // as the kernel does
			fresh(t, dir)
		},
	} {
		dir := t.TempDir()
		r := fresh(t, dir)
		runs(t, r, "one")
		p := spare(t, r)
		if left := r.Left(); len(left) > 0 {
			t.Errorf("%s: %v are taken for jobs", name, left)
		}
		end(r, p, dir)
		for deadline := time.Now().Add(10 * time.Second); p.id.Alive(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: process %d is left", name, p.id.PID)
			}
		}
		if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) > 0 {
			t.Errorf("%s: left are %v, %v", name, files, err)
		}
		if hidden, err := os.ReadDir(dir); err != nil || len(hidden) > 0 {
			t.Errorf("%s: left are %v, %v", name, hidden, err)
		}
	}
}
