package upgrade

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/upgrade/trial"
)

// said fails unless each of these was said, in this order.
func said(t *testing.T, out string, want ...string) {
	t.Helper()
	rest := out
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Errorf("not said: %q, in\n%s", w, out)
			return
		}
		rest = after
	}
}

func builtIn(t *testing.T) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("built-in [run --flag], pid PID, built-in %s\n", filepath.Base(self))
}

func TestTheBuiltInRunsWhereNothingWasKept(t *testing.T) {
	k := keep(t)
	if got := k.run(); got != builtIn(t) {
		t.Errorf("%s", got)
	}
	k.must(os.RemoveAll(k.Dir))
	if got := k.run(); got != builtIn(t) {
		t.Errorf("without a folder: %s", got)
	}
	if _, err := os.Stat(k.Dir); err == nil {
		t.Error("a node that was never upgraded has a folder for it now")
	}
}

// Who supervises g8os_core sees one process, whichever binary it is.
func TestAKeptBinaryRunsInTheSameProcessWithTheSameArguments(t *testing.T) {
	k := keep(t)
	k.proved(k.script("new"))
	self, _ := os.Executable()
	if got := k.run(); got != fmt.Sprintf("new [run --flag], pid PID, built-in %s\n", filepath.Base(self)) {
		t.Errorf("%s", got)
	}
}

func TestADamagedBinaryIsNotStarted(t *testing.T) {
	k := keep(t)
	older, newer := k.script("older"), k.script("newer")
	k.proved(older)
	k.proved(newer)
	k.must(os.WriteFile(k.Path(newer), []byte("#!/bin/sh\necho newer, and evil\n"), 0o755))
	said(t, k.run(), "is damaged", "older [run --flag], pid PID")
	k.must(os.Remove(k.Path(older)))
	said(t, k.run(), "is damaged", builtIn(t))
}

// What cannot be executed at all, though it is whole, is taken back at once; the
// one before it runs, a kept one or the built-in.
func TestATrialThatCannotBeStartedIsTakenBack(t *testing.T) {
	k := keep(t)
	for _, before := range []string{builtIn(t), "older [run --flag], pid PID"} {
		if strings.HasPrefix(before, "older") {
			k.proved(k.script("older"))
		}
		k.must(k.Begin(k.file("no program"), trial.Build{Version: "new"}, Self(), trial.Trial{ID: "of " + before}))
		said(t, k.run(), "cannot be started", "exec format error", before)
		r, err := k.Read()
		if err != nil || r.Trial != nil || r.Last.ID != "of "+before || r.Last.Proved || !strings.Contains(r.Last.Why, "it cannot be started") {
			t.Errorf("kept of it: %+v, %v", r, err)
		}
	}
}

// A binary on trial is started once; if it ends, or power is lost, the next
// start is that of the one before.
func TestATrialIsStartedOnce(t *testing.T) {
	k := keep(t)
	sum := k.script("new")
	k.must(k.Begin(sum, trial.Build{Version: "new"}, Self(), trial.Trial{ID: "u1"}))
	said(t, k.run(), "new [run --flag], pid PID")
	said(t, k.run(), "it ended before it had proved itself", builtIn(t))
	k.must(k.Begin(sum, trial.Build{Version: "new"}, Self(), trial.Trial{ID: "u2"}))
	k.must(os.Remove(filepath.Join(k.RunDir, markFile))) // as a reboot does
	said(t, k.run(), "the machine was started again", builtIn(t))
}

// One that gives up restarts as the one before, in the same process.
func TestATrialThatGivesUpBecomesTheOneBefore(t *testing.T) {
	k := keep(t)
	k.must(k.Begin(k.copy(), trial.Build{Version: "new"}, Self(), trial.Trial{ID: "u1"}))
	self, _ := os.Executable()
	said(t, k.run(), "kept [run --flag], pid PID, built-in "+filepath.Base(self), builtIn(t))
	if r, err := k.Read(); err != nil || r.Current != trial.BuiltIn || r.Last.Why != "it gave up" {
		t.Errorf("kept of it: %+v, %v", r, err)
	}
}

// A record that cannot be read does not keep a node from starting.
func TestADamagedRecordHasTheBuiltInRun(t *testing.T) {
	k := keep(t)
	k.proved(k.script("new"))
	files, err := filepath.Glob(filepath.Join(k.Dir, recordFile+"*"))
	k.must(err)
	for _, f := range files {
		k.must(os.WriteFile(f, []byte("{"), 0o600))
	}
	said(t, k.run(), "is not known", builtIn(t))
}
