package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/sim/engine"
	"github.com/g8os/g8os/lab/topology"
)

// faults are those in force, oldest first.
type faults struct {
	number int
	active []*active
}

type active struct {
	grid.Applied
	undo func() error
}

// Add implements grid.Grid.
func (w *World) Add(_ context.Context, f fault.Fault) (grid.Applied, error) {
	if err := fault.Check(f, w.plan, topology.Simulated); err != nil {
		return grid.Applied{}, err
	}
	kind, _ := fault.Find(f.Kind) // checked
	w.faults.number++
	a := &active{Applied: grid.Applied{ID: fmt.Sprintf("f%d", w.faults.number), Fault: f, Asked: w.e.Now()}}
	undo, err := w.begin(a, kind)
	if err != nil {
		return grid.Applied{}, fmt.Errorf("fault %s: %w", f.Kind, err)
	}
	a.undo, a.InForce = undo, w.e.Now()
	w.probeFault(f)
	w.e.NoteText(0, noteFault, "add "+f.String())
	w.event("run", "fault", "%s: %s", a.ID, f)
	w.changed()
	if kind.Once {
		return a.Applied, nil
	}
	w.faults.active = append(w.faults.active, a)
	if f.For > 0 {
		w.e.After(time.Duration(f.For), func() {
			if slices.Contains(w.faults.active, a) {
				_ = w.heal(a) // what cannot be undone now stays, and HealAll says so
			}
		})
	}
	return a.Applied, nil
}

// begin puts a fault into force, and returns what ends it.
func (w *World) begin(a *active, k fault.Kind) (undo func() error, err error) {
	switch k.Class {
	case fault.Link:
		return w.impair(a)
	case fault.Node:
		return w.hurtNode(a)
	case fault.Segment:
		return w.hurtSegment(a)
	}
	return w.hurtAC(a)
}

// Heal implements grid.Grid.
func (w *World) Heal(_ context.Context, id string) error {
	for _, a := range w.faults.active {
		if a.ID == id {
			return w.heal(a)
		}
	}
	return fmt.Errorf("heal %s: %w", id, grid.ErrNoFault)
}

func (w *World) heal(a *active) error {
	if err := a.undo(); err != nil {
		return fmt.Errorf("heal %s (%s): %w", a.ID, a.Fault, err)
	}
	w.faults.active = slices.DeleteFunc(w.faults.active, func(b *active) bool { return b == a })
	w.e.NoteText(0, noteFault, "heal "+a.Fault.String())
	w.event("run", "heal", "%s: %s", a.ID, a.Fault)
	w.changed()
	return nil
}

// HealAll implements grid.Grid: the newest first, so that what lay on top of
// another goes before it.
func (w *World) HealAll(context.Context) error {
	for i := len(w.faults.active) - 1; i >= 0; i-- {
		if err := w.heal(w.faults.active[i]); err != nil {
			return err
		}
	}
	return nil
}

// Faults implements grid.Grid.
func (w *World) Faults(context.Context) ([]grid.Applied, error) {
	var all []grid.Applied
	for _, a := range w.faults.active {
		all = append(all, a.Applied)
	}
	return all, nil
}

// measured is how many frames are sent over a link of the same kind to see what
// it does to them. They are none of the grid's: its streams do not move.
const measured = 1000

func (w *World) impair(a *active) (func() error, error) {
	if err := w.net.Impair(a.ID, a.Fault); err != nil {
		return nil, err
	}
	spec, err := link.FromFault(a.Fault)
	if err != nil {
		return nil, err
	}
	l := link.New(spec, w.e.Seed(), engine.Hash("measure "+a.ID))
	lost, odd, late := 0, 0, time.Duration(0)
	for i := range measured {
		now := time.Duration(i) * time.Second
		copies := l.Send(100, now)
		switch {
		case len(copies) == 0:
			lost++
		case len(copies) > 1, copies[0].Corrupt:
			odd++
		}
		if len(copies) > 0 {
			late += copies[0].At - now
		}
	}
	a.Measured = grid.Measured{
		How:     fmt.Sprintf("%d of %d frames dropped, %d doubled or corrupted", lost, measured, odd),
		Percent: float64(max(lost, odd)) * 100 / measured, Packets: measured, Rate: a.Fault.Rate,
	}
	if arrived := measured - lost; arrived > 0 {
		a.Measured.Delay = fault.Duration(late / time.Duration(arrived))
	}
	return func() error { w.net.Mend(a.ID); return nil }, nil
}
