package simulated

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/topologies"
)

// hasty is a run that gives a node without power too little time to come back,
// among much that has nothing to do with it.
func hasty(t *testing.T) record.Head {
	t.Helper()
	s, err := fault.ParseSchedule(`
		2s  dhcp-silent on=dhcp for=10s
		5s  kill on=office-2 for=3s
		9s  loss percent=20 from=isolated-1 both for=8s
		12s power on=office-1
		14s ac-pause for=2s
		20s cable on=dhcp-1 for=5s
	`)
	if err != nil {
		t.Fatal(err)
	}
	return record.Head{
		Fidelity: "sim", Lab: "x", Seed: 3, Topology: string(topologies.Default), Schedule: s,
		Options: run.Options{Ready: true, For: fault.Duration(time.Minute), Settle: fault.Duration(500 * time.Millisecond)},
	}
}

func TestSameHistory(t *testing.T) {
	var hashes []string
	for _, seed := range []uint64{3, 3, 4} {
		h := hasty(t)
		h.Seed = seed
		w, err := Open(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Run(t.Context(), w, h.Schedule, h.Options); err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, Hash(w))
	}
	if hashes[0] != hashes[1] || hashes[1] == hashes[2] || len(hashes[0]) != 16 {
		t.Errorf("histories %q, want the first two alike", hashes)
	}
}

// What is left of a run that fails is the one fault that makes it fail.
func TestShrink(t *testing.T) {
	h, r, err := Shrink(t.Context(), hasty(t), invariant.Recovers, 200)
	if err != nil || !r.Fails || !r.Minimal || len(h.Schedule) != 1 || h.Schedule[0].Fault.Kind != fault.Power || h.Options.For != 0 || h.Nodes >= 6 {
		t.Fatalf("got %d nodes after %d tries, %+v, %v\n%s", h.Nodes, r.Tries, r, err, h.Schedule)
	}
	again, err := Run(t.Context(), h)
	if err != nil || !slices.ContainsFunc(again.Violations, func(v invariant.Violation) bool { return v.Invariant == invariant.Recovers }) {
		t.Errorf("what is left does not fail: %+v, %v", again, err)
	}
}

// A run that does not fail stays as it is, and so does one that is interrupted.
func TestNothingToShrink(t *testing.T) {
	whole := hasty(t)
	h, r, err := Shrink(t.Context(), whole, invariant.PinnedCA, 20)
	if err != nil || r.Fails || h.Schedule.String() != whole.Schedule.String() {
		t.Errorf("%+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, r, err = Shrink(ctx, whole, invariant.Recovers, 20); err != nil || r.Minimal || r.Fails {
		t.Errorf("%+v, %v", r, err)
	}
	whole.Topology = "nonsense"
	if _, _, err := Shrink(t.Context(), whole, invariant.Recovers, 20); err == nil {
		t.Error("no topology, and no error")
	}
}
