package record

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/topologies"
)

func head(t *testing.T) Head {
	t.Helper()
	s, err := fault.ParseSchedule("5s kill on=office-1 for=3s\n6s loss percent=12.5 to=ac1")
	if err != nil {
		t.Fatal(err)
	}
	return Head{
		What: "chaos power", Fidelity: "sim", Lab: "x", Seed: 1 << 63, Topology: string(topologies.Default), Nodes: 9,
		Options: run.Options{For: fault.Duration(time.Minute), Excused: []string{"office-2"}}, Schedule: s,
	}
}

// written is a record of everything there can be, without its end.
func written(t *testing.T) (*Writer, *Record) {
	t.Helper()
	h := head(t)
	w, err := Create(filepath.Join(t.TempDir(), "a.g8run"), h)
	if err != nil {
		t.Fatal(err)
	}
	h.Version, h.MadeBy = Version, "dev"
	r := &Record{
		Head:       h,
		Events:     []grid.Event{{At: time.Second, Who: "run", What: "note", Text: "a\nb"}},
		Faults:     []grid.Applied{{ID: "f1", Fault: h.Schedule[0].Fault, Asked: 5, InForce: 6, Healed: 9, Measured: grid.Measured{How: "it is gone"}}},
		Phases:     []run.Phase{{At: 7 * time.Second, Node: "office-1", Phase: "down"}},
		Violations: []invariant.Violation{{At: time.Second, Invariant: invariant.Recovers, Text: "x"}},
	}
	before := r.Faults[0]
	before.Healed = 0
	for _, n := range []run.Note{
		{Progress: &run.Progress{}}, {Event: &r.Events[0]}, {Fault: &before}, {Phase: &r.Phases[0]}, {Violation: &r.Violations[0]}, {Fault: &r.Faults[0]},
	} {
		w.Note(n)
	}
	return w, r
}

func TestRoundTrip(t *testing.T) {
	w, want := written(t)
	end := End{Verdict: run.Violated, Why: "x", Began: 1, Ended: 2, Took: 3, Checks: 4, Jobs: 5, Hash: "0f", Captures: []string{"a.pcap"}}
	if err := w.End(end); err != nil {
		t.Fatal(err)
	}
	got, err := Read(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.End.Sum) != 64 {
		t.Errorf("sum %q", got.End.Sum)
	}
	end.Sum, want.End, want.MadeBy = got.End.Sum, end, got.MadeBy
	want.End.Sum = got.End.Sum
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, p, err := got.Plan("y"); err != nil || len(p.Nodes) != 9 || p.Lab != "y" {
		t.Errorf("%v, %v", p, err)
	}
}

// What was written before a crash is there, with a verdict.
func TestBrokenOff(t *testing.T) {
	w, _ := written(t)
	r, err := Read(w.Path())
	if err != nil || r.End.Verdict != run.Violated || r.End.Ended != 7*time.Second || len(r.Faults) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	w, err = Create(filepath.Join(t.TempDir(), "b.g8run"), head(t))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = Read(w.Path()); err != nil || r.End.Verdict != run.BrokenOff || r.End.Why == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRefuses(t *testing.T) {
	w, _ := written(t)
	if err := w.End(End{Verdict: run.Passed}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	change := func(from, to string) string { return strings.Replace(text, from, to, 1) }
	for _, tt := range []struct {
		name, text, want string
		is               error
	}{
		{"empty", "", "r: no whole record: it is empty", ErrDamaged},
		{"something else", "<html>\n", "line 1 is not that of a record; g8lab chaos and g8lab sim write them", ErrDamaged},
		{"other JSON", "{}\n", "line 1 is not that of a record", ErrDamaged},
		{"another version", change(`"version":1`, `"version":2`), "a record of another version: 2, made by g8lab ", ErrVersion},
		{"cut off", text[:len(text)-9], "line 7 is cut off", ErrDamaged},
		{"cut off in the middle", text[:len(text)/2], "line 1 is cut off", ErrDamaged},
		{"changed", change("it is gone", "it is here"), "it was changed after it was written", ErrDamaged},
		{"no JSON", change(`{"phase"`, `{phase"`), "is not JSON", ErrDamaged},
		{"something new", change(`{"phase"`, `{"phrase"`), "line 4 says nothing that is known", ErrDamaged},
		{"added to", text + text, "something follows its end", ErrDamaged},
		{"no such node", change(`"on":"office-1"`, `"on":"office-9"`), `at 5s: fault kill: node "office-9": no such thing`, ErrDamaged},
		{"no topology", change("segments:", "segmints:"), "unknown key", ErrDamaged},
	} {
		_, err := Parse("r", []byte(tt.text))
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "record r: ") {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := Read("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"record":{"version":1}}`))
	f.Add([]byte("{\"record\":{\"version\":1,\"topology\":\"segments: []\"}}\n{\"end\":{}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Parse("r", text); err != nil && !strings.HasPrefix(err.Error(), "record r: ") {
			t.Errorf("%v", err)
		}
	})
}

// A record is not written over, and one that could not be written is not whole.
func TestWriteFails(t *testing.T) {
	w, _ := written(t)
	if _, err := Create(w.Path(), head(t)); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("got %v", err)
	}
	if _, err := Create(filepath.Join(w.Path(), "x"), head(t)); err == nil {
		t.Error("a file below a file")
	}
	if err := w.f.Close(); err != nil {
		t.Fatal(err)
	}
	w.Note(run.Note{Event: &grid.Event{}})
	if err := w.End(End{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestSpeed(t *testing.T) {
	if s := (End{Began: 0, Ended: time.Hour, Took: time.Second}).Speed(); s != 3600 {
		t.Errorf("an hour in a second is %g times as fast", s)
	}
	if s := (End{Ended: time.Hour}).Speed(); s != 0 {
		t.Errorf("%g", s)
	}
}
