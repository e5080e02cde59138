package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/topologies"
)

// recorded records a run on a simulated grid, and returns where.
func recorded(t *testing.T, schedule string, change func(*record.Head)) string {
	t.Helper()
	s, err := fault.ParseSchedule(schedule)
	if err != nil {
		t.Fatal(err)
	}
	head := record.Head{
		What: "test", Fidelity: "sim", Lab: "x", Seed: 7, Topology: string(topologies.Default), Schedule: s,
		Options: runs.Options{For: fault.Duration(time.Minute), Ready: true, Jobs: fault.Duration(10 * time.Second), Seed: 7},
	}
	change(&head)
	path := filepath.Join(t.TempDir(), "a.g8run")
	var out bytes.Buffer
	if end, err := performSimulated(t.Context(), head, path, streams{nil, &out, &out}); end == nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return path
}

// A simulated run gives the same history again, and a page.
func TestReplayAndReport(t *testing.T) {
	path := recorded(t, "5s kill on=office-1 for=10s\n20s partition from=dhcp-1 for=15s", func(*record.Head) {})
	out, _, err := g8lab(t, "replay", path)
	if err != nil || !strings.Contains(out, "the history is the one that was recorded") || !strings.Contains(out, "passed: 2 faults") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = g8lab(t, "report", path)
	page, e := os.ReadFile(strings.TrimSuffix(path, ".g8run") + ".html")
	if err != nil || e != nil || !strings.HasPrefix(out, "passed: ") || !strings.Contains(string(page), "kill on=office-1") {
		t.Errorf("%s, %v, %v", out, err, e)
	}
	if out, _, err = g8lab(t, "report", path, "-o", "-"); err != nil || !strings.HasPrefix(out, "<!doctype html>") {
		t.Errorf("%.40s, %v", out, err)
	}
}

// A run that fails is made small, and the small one is recorded.
func TestReplayShrinks(t *testing.T) {
	path := recorded(t, "5s kill on=office-2 for=3s\n20s power on=office-1\n25s ac-pause for=2s", func(h *record.Head) {
		h.Options.Settle, h.Options.Jobs = fault.Duration(500*time.Millisecond), 0 // too little to boot
	})
	out, _, err := g8lab(t, "replay", path, "--shrink")
	if !strings.Contains(out, "after it began: recovers: office-1 is in ") {
		t.Errorf("what was violated is not said:\n%s", out)
	}
	if err == nil || codeOf(err) != exitFailed || !strings.Contains(out, "shrunk to 1 of 3 faults and 1 node,") || !strings.Contains(out, "nothing more can be left out:\n0s power on=office-1\n") {
		t.Errorf("%v\n%s", err, out)
	}
	small := strings.TrimSuffix(path, ".g8run") + "-small.g8run"
	if out, _, err = g8lab(t, "replay", small); err == nil || !strings.Contains(out, "the history is the one that was recorded") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A history that is another is not passed over.
func TestReplayOfAnotherHistory(t *testing.T) {
	path := recorded(t, "5s kill on=office-1 for=10s", func(*record.Head) {})
	rec, err := record.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "b.g8run")
	w, err := record.Create(other, rec.Head)
	if err != nil {
		t.Fatal(err)
	}
	end := rec.End
	end.Hash = "0123456789abcdef"
	if err := w.End(end); err != nil {
		t.Fatal(err)
	}
	_, _, err = g8lab(t, "replay", other)
	if err == nil || !strings.Contains(err.Error(), "the history is another: "+rec.End.Hash+", recorded by") || codeOf(err) != exitFailed {
		t.Errorf("got %v", err)
	}
}

func TestRunMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	path := recorded(t, "5s store-lost for=10s", func(*record.Head) {})
	fine := recorded(t, "5s kill on=office-1 for=3s", func(*record.Head) {})
	old := filepath.Join(t.TempDir(), "old.g8run")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(old, bytes.Replace(text, []byte(`"version":1`), []byte(`"version":9`), 1), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"chaos", "mayhem"}, `chaos "mayhem": no such plan; there are ac-outage,`},
		{[]string{"chaos", "power", "--every", "x"}, "g8lab --help explains"},
		{[]string{"chaos"}, "g8lab --help explains"},
		{[]string{"chaos", "power", "--every=-5s"}, "chaos: every -5s: want 1s or more"},
		{[]string{"chaos", "power", "--for=-5s"}, "chaos: for -5s: want 20s or more"},
		{[]string{"replay", old}, "a record of another version: 9"},
		{[]string{"replay", "nothing.g8run"}, "no such file"},
		{[]string{"replay", path, "--fidelity", "netns"}, "at 5s: fault store-lost: not at fidelity netns: the store is in the ACs themselves: with three of them, ac-kill on two takes its quorum"},
		{[]string{"replay", path, "--shrink", "--fidelity", "vm"}, "fault store-lost: not at fidelity vm"},
		{[]string{"replay", fine, "--shrink", "--fidelity", "vm"}, "--shrink at fidelity vm: only a simulated run fails the same way each time"},
		{[]string{"replay", path, "--shrink", "--tries", "0"}, "--tries 0: want 1 or more"},
		{[]string{"replay", path, "--fidelity", "dream"}, "g8lab --help explains"},
		{[]string{"replay", path, "--record", path}, "is there already; want another name"},
		{[]string{"report", old}, "a record of another version: 9"},
	} {
		out, errs, err := g8lab(t, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || codeOf(err) != exitUsage {
			t.Errorf("%q: got %v (exit %d), want %s\n%s%s", tt.args, err, codeOf(err), tt.want, out, errs)
		}
	}
	if made, err := os.ReadDir("."); err != nil || len(made) > 0 {
		t.Errorf("something was made: %v, %v", made, err)
	}
}

func TestChaosNeedsALab(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, _, err := g8lab(t, "--lab", "nosuchlab", "chaos", "power"); err == nil || !strings.Contains(err.Error(), "g8lab up brings it up") {
		t.Errorf("got %v", err)
	}
}

func TestChaosList(t *testing.T) {
	out, _, err := g8lab(t, "chaos", "list")
	if err != nil || !strings.Contains(out, "dhcp-flap") || !strings.Contains(out, "everything") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What happens is said as it happens, and now and then how things stand.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, "netns")
	f := grid.Applied{ID: "f1", Fault: fault.Fault{Kind: "kill", On: "a"}, InForce: 65 * time.Second, Measured: grid.Measured{How: "process 7 is gone"}}
	healed := f
	healed.Healed = 75 * time.Second
	for _, n := range []runs.Note{
		{Progress: &runs.Progress{At: 60 * time.Second, Began: 60 * time.Second, Managed: 6, Powered: 6, Checks: 1}},
		{Phase: &runs.Phase{}},
		{Fault: &f},
		{Progress: &runs.Progress{At: 66 * time.Second, Began: 60 * time.Second, Managed: 5, Powered: 6, Faults: []string{"f1"}, Checks: 2}},
		{Violation: &invariant.Violation{At: 70 * time.Second, Invariant: "recovers", Text: "x"}},
		{Fault: &healed},
		{Event: &grid.Event{At: 80 * time.Second, Who: "run", What: "check", Text: "everything is healed"}},
		{Event: &grid.Event{At: 81 * time.Second, Who: "a", What: "note", Text: "noise"}},
		{Progress: &runs.Progress{At: 95 * time.Second, Began: 60 * time.Second, Managed: 6, Powered: 6, Checks: 30, Violated: 1}},
	} {
		p.tell(n)
	}
	want := `   0.0s 6 of 6 nodes managed, no fault, 1 check, 0 violations
   5.0s f1 kill on=a: process 7 is gone
  10.0s VIOLATED recovers: x
  15.0s f1 healed
  20.0s everything is healed
  35.0s 6 of 6 nodes managed, no fault, 30 checks, 1 violation
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// On a terminal a line stays below what has happened.
func TestProgressLive(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, live: true}
	p.tell(runs.Note{Progress: &runs.Progress{At: 2 * time.Second, Began: time.Second, Managed: 1, Powered: 1}})
	p.tell(runs.Note{Violation: &invariant.Violation{At: 3 * time.Second, Invariant: "recovers", Text: "x"}})
	want := "\r\x1b[2K   1.0s 1 of 1 nodes managed, no fault, 0 checks, 0 violations\r\x1b[2K   2.0s VIOLATED recovers: x\n"
	if b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestVerdictsOfARun(t *testing.T) {
	p := performance{path: "a.g8run"}
	for _, tt := range []struct {
		r    runs.Result
		code int
		want string
	}{
		{runs.Result{Verdict: runs.Passed}, 0, ""},
		{runs.Result{Verdict: runs.BrokenOff, Why: "no AC"}, 1, "g8lab: the run broke off and proves nothing: no AC\n       → bin/g8lab report a.g8run shows it\n"},
		{runs.Result{Verdict: runs.Violated, Began: time.Second, Violations: []invariant.Violation{{At: 3 * time.Second, Invariant: "recovers", Text: "x"}}}, 1,
			"g8lab: 1 violation: what must hold did not\n"},
	} {
		var b bytes.Buffer
		if code := report(&b, p.verdict(t.Context(), &tt.r)); code != tt.code || !strings.HasPrefix(b.String(), tt.want) {
			t.Errorf("exit code %d\n%s\nwant %d\n%s", code, b.String(), tt.code, tt.want)
		}
	}
	if err := p.verdict(t.Context(), &runs.Result{Verdict: runs.Passed}); err != nil {
		t.Error(err)
	}
	if err := (performance{}).verdict(t.Context(), &runs.Result{Verdict: runs.BrokenOff}); errors.As(err, &remedied{}) {
		t.Errorf("a record that is not there is named: %v", err)
	}
}
