// Package simulated runs what a record says on a simulated grid, again or in a
// smaller form.
//
// It promises that a record of a simulated run gives the same history, which
// Hash tells from any other, and that what Shrink returns violates the same
// invariant. It knows no other fidelity: a real grid has no two histories alike.
package simulated

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/shrink"
	"github.com/g8os/g8os/lab/sim"
)

// Open returns the grid of a record, at the beginning of its time.
func Open(h record.Head) (*sim.World, error) {
	_, plan, err := h.Plan(h.Lab)
	if err != nil {
		return nil, err
	}
	return sim.New(plan, sim.Options{Seed: h.Seed, Boot: time.Duration(h.Boot)})
}

// Hash is that of a grid's history so far, as records have it.
func Hash(w *sim.World) string { return fmt.Sprintf("%016x", w.Hash()) }

// Run runs what a record says.
func Run(ctx context.Context, h record.Head) (*run.Result, error) {
	w, err := Open(h)
	if err != nil {
		return nil, err
	}
	return run.Run(ctx, w, h.Schedule, h.Options)
}

// Shrink looks for the smallest run that violates an invariant as that of a
// record does, in at most so many tries. It ends early when ctx does, with what
// it has.
func Shrink(ctx context.Context, h record.Head, name invariant.Name, tries int) (record.Head, shrink.Result, error) {
	_, plan, err := h.Plan(h.Lab)
	if err != nil {
		return h, shrink.Result{}, err
	}
	whole := len(plan.Nodes)
	fails := func(h record.Head) bool {
		r, err := Run(ctx, h)
		return err == nil && ctx.Err() == nil && slices.ContainsFunc(r.Violations, func(v invariant.Violation) bool { return v.Invariant == name })
	}
	if ends := h; h.Options.For > 0 { // the time after the last fault, if it is not needed
		if ends.Options.For = 0; fails(ends) {
			h = ends
		}
		tries--
	}
	r := shrink.Run(h.Schedule, whole, tries, func(s fault.Schedule, nodes int) bool { return fails(smaller(h, s, nodes, whole)) })
	if err := ctx.Err(); err != nil {
		r.Minimal = false
	}
	return smaller(h, r.Schedule, r.Nodes, whole), r, nil
}

// smaller is a run with another schedule and so many of its nodes.
func smaller(h record.Head, s fault.Schedule, nodes, whole int) record.Head {
	if h.Schedule = s; nodes != whole {
		h.Nodes = nodes
	}
	return h
}
