package jobs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// TestDown: a machine that goes down ends its jobs, says why, begins none any
// more, and waits until the AC has heard of it.
func TestDown(t *testing.T) {
	j := opened(t, Options{Spool: t.TempDir()})
	session := j.Attach()
	j.Start("one", sh("echo begun; sleep 600"), 0, false)
	if f, _ := take(j, session); f.Type != api.FrameOutput {
		t.Fatalf("got %+v, want its output", f)
	}
	ended := make(chan error, 1)
	go func() { ended <- j.End(t.Context()) }()
	exit, _ := take(j, session)
	if exit.State != api.JobKilled || !strings.Contains(exit.Error, "this machine is going down") {
		t.Errorf("it ended as %s: %q", exit.State, exit.Error)
	}
	select {
	case err := <-ended:
		t.Fatalf("End returned before the AC has the result: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	j.Start("two", sh("true"), 0, false)
	if n := j.Running(); n != 0 {
		t.Errorf("%d jobs were begun after the end", n)
	}
	j.Ack("one", exit.Seq)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestDownWithoutAC: nobody is waited for who is not there, and the result is
// told after the next start of the machine.
func TestDownWithoutAC(t *testing.T) {
	o := Options{Spool: t.TempDir(), RunDir: t.TempDir()}
	j := opened(t, o)
	j.Start("one", sh("sleep 600"), 0, false)
	if err := j.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.Leave()
	o.RunDir = t.TempDir() // another boot
	next := opened(t, o)
	exit, _ := take(next, next.Attach())
	if exit.State != api.JobKilled || !strings.Contains(exit.Error, "this machine is going down") {
		t.Errorf("it ended as %s: %q", exit.State, exit.Error)
	}
}

// TestDownIsBounded: who does not end in time is told of.
func TestDownIsBounded(t *testing.T) {
	j := opened(t, Options{Spool: t.TempDir()})
	session := j.Attach()
	j.Start("one", sh(`trap "" TERM; echo begun; while :; do sleep 1; done`), 0, false)
	take(j, session)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := j.End(ctx); err == nil || !strings.Contains(err.Error(), "1 still run") {
		t.Errorf("End: %v", err)
	}
}
