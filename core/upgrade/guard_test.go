package upgrade

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/upgrade/trial"
)

// answers is some g8os_core that answers on the socket.
func (k *kept) answers() {
	k.t.Helper()
	l, err := net.Listen("unix", filepath.Join(k.dir, "socket"))
	k.must(err)
	k.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
}

// lost fails unless the upgrade was taken back, for this reason.
func (k *kept) lost(why string) {
	k.t.Helper()
	r, err := k.Read()
	if err != nil || r.Trial != nil || r.Current != trial.BuiltIn || r.Last == nil || r.Last.Proved || !strings.Contains(r.Last.Why, why) {
		k.t.Errorf("kept of it: %+v, %v, want %q", r.Last, err, why)
	}
}

func TestTheGuardTakesBackABinaryThatEnds(t *testing.T) {
	k := keep(t)
	k.answers() // whoever supervises it has started it again
	out := k.run(trySumVar+"="+k.file("#!/bin/sh\necho new; exit 3\n"), withinVar+"=1m")
	said(t, out, "built-in [run --flag], pid PID", "new", "taken back", "the guard leaves <nil>")
	k.lost("it ended before it had proved itself")
	said(t, k.run(), builtIn(t))
}

// One that gives up by itself needs no guard, which goes.
func TestTheGuardLeavesABinaryThatGivesUp(t *testing.T) {
	k := keep(t)
	k.answers()
	out := k.run(trySumVar+"="+k.copy(), withinVar+"=1m")
	said(t, out, "kept [run --flag], pid PID")
	k.lost("it gave up")
	if !strings.Contains(out, "the guard leaves <nil>") || strings.Contains(out, "is taken back") {
		t.Error(out)
	}
}

func TestWhereNobodyStartsItAgainTheGuardBecomesIt(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits 12 s for somebody who does")
	}
	t.Parallel()
	k := keep(t)
	out := k.run(trySumVar+"="+k.file("#!/bin/sh\necho new; exit 3\n"), withinVar+"=1m")
	said(t, out, "built-in [run --flag], pid PID", "new", "taken back", "its guard becomes it", "built-in [run --flag], pid ")
	k.lost("it ended before it had proved itself")
	if strings.Contains(out, "the guard leaves") {
		t.Error("there are two of it")
	}
}

func TestTheGuardKillsABinaryThatHangs(t *testing.T) {
	k := keep(t)
	hung := exec.CommandContext(t.Context(), "sleep", "600")
	k.must(hung.Start())
	ended := make(chan error, 1)
	go func() { ended <- hung.Wait(); k.answers() }()
	id, err := process.Identify(hung.Process.Pid)
	k.must(err)
	k.must(k.Begin(k.script("new"), trial.Build{Version: "new"}, Self(), trial.Trial{ID: "u1"}))
	c := Charge{Store: k.Store, ID: "u1", Core: id, Within: time.Second - trial.GuardSlack, Socket: filepath.Join(k.dir, "socket")}
	k.must(c.Guard(t.Context(), quiet))
	k.lost("it hung")
	if err := <-ended; err == nil || err.Error() != "signal: killed" {
		t.Errorf("it ended with %v", err)
	}
}

// A guard has nothing to do with another upgrade than its own, and none with a
// binary that has proved itself.
func TestTheGuardLeavesWhoHasProvedHimself(t *testing.T) {
	k := keep(t)
	runs := exec.CommandContext(t.Context(), "sleep", "600")
	k.must(runs.Start())
	id, err := process.Identify(runs.Process.Pid)
	k.must(err)
	c := Charge{Store: k.Store, ID: "u1", Core: id, Within: time.Minute}
	k.must(k.Begin(k.script("new"), trial.Build{}, Self(), trial.Trial{ID: "u1"}))
	ctx, cancel := context.WithTimeout(t.Context(), 3*guardEvery)
	defer cancel()
	if err := c.Guard(ctx, quiet); err != context.DeadlineExceeded {
		t.Errorf("while it is on trial: %v", err)
	}
	k.must(k.Prove("u1"))
	k.must(k.Begin(k.script("newer"), trial.Build{}, Self(), trial.Trial{ID: "u2"}))
	k.must(c.Guard(t.Context(), quiet))
	if r, err := k.Read(); err != nil || r.Trial == nil || r.Trial.ID != "u2" || !id.Alive() {
		t.Errorf("it has not left all as it was: %+v, %v", r, err)
	}
	k.must(runs.Process.Kill())
	_ = runs.Wait()
}
