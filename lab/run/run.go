// Package run drives a grid through a schedule of faults and judges it: the
// same at every fidelity.
//
// It promises that a schedule with a fault that the grid cannot have is refused
// before anything is touched; that what was added is healed when Run returns,
// also when it was interrupted; and that whatever it finds is told at once
// (Options.Tell), so that a record holds it although the run breaks off. When
// to do what is decided in lab/run/agenda, what must hold in lab/invariant.
package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run/agenda"
	"github.com/g8os/g8os/lab/topology"
)

// Verdict on a run.
type Verdict string

// The verdicts.
const (
	Passed    Verdict = "passed"
	Violated  Verdict = "violated"
	BrokenOff Verdict = "broken off" // interrupted, or a fault was not had
)

// Options of a run. Times are of the grid; the zero value is what most want.
type Options struct {
	// For is how long faults may come, at least.
	For fault.Duration `json:"for,omitempty"`
	// Every is how often the invariants are checked; 0: each second.
	Every fault.Duration `json:"every,omitempty"`
	// Settle is how long the grid has to recover after the last fault; 0: see
	// DefaultSettle. Less than half a minute does not find two nodes that go on
	// sharing an address.
	Settle fault.Duration `json:"settle,omitempty"`
	// Ready waits until every node that is not excused is managed before the
	// schedule begins.
	Ready bool `json:"ready,omitempty"`
	// Jobs is how often a job is started, about; 0: never. Each lasts JobLasts; 0: 3 s.
	Jobs     fault.Duration `json:"jobs,omitempty"`
	JobLasts fault.Duration `json:"job_lasts,omitempty"`
	// Seed draws when and where jobs are started.
	Seed uint64 `json:"seed,omitempty"`
	// Excused are nodes that need not be managed in the end, besides those that
	// the schedule clones: they wait for an operator.
	Excused []string `json:"excused,omitempty"`

	// Tell is told what happens, as it happens; may be nil.
	Tell func(Note) `json:"-"`
}

// DefaultSettle is how long a grid has to recover, at a fidelity: a translated
// machine boots for a minute.
func DefaultSettle(fidelity string) time.Duration {
	if fidelity == topology.Virtual {
		return 3 * time.Minute
	}
	return time.Minute
}

// Note is one thing that happened; exactly one field is set.
type Note struct {
	Event     *grid.Event          `json:"event,omitempty"`
	Fault     *grid.Applied        `json:"fault,omitempty"` // in force; and once more when it is healed
	Phase     *Phase               `json:"phase,omitempty"`
	Violation *invariant.Violation `json:"violation,omitempty"`
	Progress  *Progress            `json:"-"` // after each check, for who watches
}

// Phase is that a node was seen in another phase than before. Off is without
// power, down does not run.
type Phase struct {
	At    time.Duration `json:"at_ns"`
	Node  string        `json:"node"`
	Phase string        `json:"phase"`
}

// Progress is how a run stands.
type Progress struct {
	Began    time.Duration // grid time at which the schedule did; 0 before
	At       time.Duration // grid time
	Managed  int
	Powered  int
	Faults   []string // in force
	Checks   int
	Violated int
	Settling bool
}

// Result is what became of a run. Times are grid time.
type Result struct {
	Verdict    Verdict
	Why        string // what was violated first, or why it broke off
	Began      time.Duration
	Ended      time.Duration
	Faults     []grid.Applied
	Refused    []string // faults that could not be put into force, and why
	Violations []invariant.Violation
	Checks     int
	Jobs       int
}

// Check says whether a schedule and options mean something in a grid: nil, or
// one line.
func Check(g grid.Grid, s fault.Schedule, o Options) error {
	for _, d := range []struct {
		name  string
		value fault.Duration
	}{{"for", o.For}, {"every", o.Every}, {"settle", o.Settle}, {"jobs", o.Jobs}, {"a job", o.JobLasts}} {
		if d.value < 0 {
			return fmt.Errorf("run: %s %s: want a time above 0", d.name, d.value)
		}
	}
	for _, t := range s {
		if err := fault.Check(t.Fault, g.Plan(), g.Fidelity()); err != nil {
			return fmt.Errorf("run: at %s: %w", t.At, err)
		}
	}
	return nil
}

// Run lets a grid live through a schedule. An error means that nothing was
// touched; everything else is in the Result. A grid in which something is wrong
// already is refused: the run could not tell what comes of what.
func Run(ctx context.Context, g grid.Grid, s fault.Schedule, o Options) (*Result, error) {
	if err := Check(g, s, o); err != nil {
		return nil, err
	}
	before, err := g.Faults(ctx)
	if err == nil && len(before) > 0 {
		err = fmt.Errorf("%d faults are in force already, the first is %s %s; heal them first", len(before), before[0].ID, before[0].Fault)
	}
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	if o.Every == 0 {
		o.Every = fault.Duration(time.Second)
	}
	if o.Settle == 0 {
		o.Settle = fault.Duration(DefaultSettle(g.Fidelity()))
	}
	if o.JobLasts == 0 {
		o.JobLasts = fault.Duration(3 * time.Second)
	}
	if o.Tell == nil {
		o.Tell = func(Note) {}
	}
	o.Excused = slices.Concat(o.Excused, cloned(s))
	r := newRunner(g, s, o)
	if err := r.loop(ctx); err != nil {
		r.why(BrokenOff, err.Error())
		r.rescue(ctx)
	}
	return r.finish(), nil
}

// cloned are the nodes whose identity will have been alive twice, original and
// clone both are held back until an operator says which is which; and those
// that asked for what is another's, which may be held back too.
func cloned(s fault.Schedule) []string {
	var all []string
	for _, t := range s {
		if t.Fault.Kind == fault.Clone || t.Fault.Kind == fault.Impostor {
			all = append(all, t.Fault.On)
		}
	}
	return all
}

// loop does what the agenda asks for until it asks for nothing more.
func (r *runner) loop(ctx context.Context) error {
	for {
		step := r.agenda.Next(r.g.Elapsed())
		if step.Do == agenda.End {
			if step.Why != "" {
				return errors.New(step.Why)
			}
			return nil
		}
		err := r.do(ctx, step)
		if ctx.Err() != nil { // what it broke off is no news
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		if err != nil {
			return err
		}
	}
}

func (r *runner) do(ctx context.Context, s agenda.Step) error {
	switch s.Do {
	case agenda.Wait:
		return r.g.Wait(ctx, s.Until-r.g.Elapsed())
	case agenda.Check:
		return r.check(ctx)
	case agenda.Add:
		return r.add(ctx, s.Entry)
	case agenda.Heal:
		return r.heal(ctx, s.ID)
	case agenda.Job:
		return r.job(ctx)
	case agenda.HealAll:
		return r.healAll(ctx)
	}
	return r.judge(ctx)
}

// rescueTime is what there is left to heal the faults of a run that was
// interrupted.
const rescueTime = 30 * time.Second

func (r *runner) rescue(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rescueTime)
	defer cancel()
	if err := r.healAll(ctx); err != nil {
		r.result.Why += "; " + err.Error()
	}
}
