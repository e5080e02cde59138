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
)

// runner does what the agenda says and keeps what came of it.
type runner struct {
	g       grid.Grid
	s       fault.Schedule
	o       Options
	agenda  *agenda.Agenda
	checker *invariant.Checker
	phases  map[string]string // by node, as it was seen last
	inForce []string          // ids
	told    int               // events of the grid's history that were told
	settle  bool
	result  Result
}

func newRunner(g grid.Grid, s fault.Schedule, o Options) *runner {
	checker, ready := invariant.New(), time.Duration(0)
	if o.Ready {
		ready = DefaultSettle(g.Fidelity())
	}
	return &runner{
		g: g, s: s, o: o, checker: checker, phases: map[string]string{}, told: len(g.History()),
		agenda: agenda.New(agenda.Options{
			Schedule: s, For: time.Duration(o.For), Every: time.Duration(o.Every), Settle: time.Duration(o.Settle),
			Ready: ready, Jobs: time.Duration(o.Jobs), Seed: o.Seed, Excused: o.Excused,
			Well: func(f grid.Facts) bool { return checker.Well(f, o.Excused...) },
		}, g.Elapsed()),
	}
}

// note tells of something that the run itself did.
func (r *runner) note(what, format string, args ...any) {
	r.o.Tell(Note{Event: &grid.Event{At: r.g.Elapsed(), Who: "run", What: what, Text: fmt.Sprintf(format, args...)}})
}

// history tells what the grid has noted since the last time.
func (r *runner) history() {
	all := r.g.History()
	for i := r.told; i < len(all); i++ {
		r.o.Tell(Note{Event: &all[i]})
	}
	r.told = len(all)
}

func (r *runner) check(ctx context.Context) error {
	f, err := r.facts(ctx)
	if err != nil {
		return err
	}
	r.agenda.Checked(r.g.Elapsed(), f)
	return nil
}

// facts asks the grid how it is, judges it and tells what is new.
func (r *runner) facts(ctx context.Context) (grid.Facts, error) {
	f, err := r.g.Facts(ctx)
	if err != nil {
		return f, fmt.Errorf("check at %s: %w", r.g.Elapsed().Round(time.Millisecond), err)
	}
	r.result.Checks++
	p := Progress{At: f.At, Began: r.agenda.Began(), Faults: slices.Clone(r.inForce), Checks: r.result.Checks, Settling: r.settle}
	for _, n := range f.Nodes {
		r.see(f.At, n)
		if n.Powered {
			p.Powered++
		}
		if n.Managed() {
			p.Managed++
		}
	}
	r.violated(r.checker.Check(f))
	p.Violated = len(r.result.Violations)
	r.o.Tell(Note{Progress: &p})
	return f, nil
}

// see tells of a node whose phase has changed.
func (r *runner) see(at time.Duration, n grid.Node) {
	phase := PhaseOf(n)
	if r.phases[n.Name] == phase {
		return
	}
	r.phases[n.Name] = phase
	r.o.Tell(Note{Phase: &Phase{at, n.Name, phase}})
}

// PhaseOf is the phase of a node in one word, whether it runs or not.
func PhaseOf(n grid.Node) string {
	switch {
	case !n.Powered:
		return "off"
	case !n.Running || n.Status.Phase == "":
		return "down"
	}
	return n.Status.Phase
}

func (r *runner) violated(found []invariant.Violation) {
	for _, v := range found {
		r.result.Violations = append(r.result.Violations, v)
		r.o.Tell(Note{Violation: &v})
	}
}

// add puts an entry of the schedule into force. One that the grid could not
// have at this moment is no reason to stop, but the run did not prove what it
// was to prove.
func (r *runner) add(ctx context.Context, entry int) error {
	f := r.s[entry].Fault
	a, err := r.g.Add(ctx, f)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		line := fmt.Sprintf("%s: %v", f, err)
		r.result.Refused = append(r.result.Refused, line)
		r.note("note", "not in force: %s", line)
		return nil
	}
	r.result.Faults = append(r.result.Faults, a)
	r.o.Tell(Note{Fault: &a})
	r.checker.Added(a)
	if k, err := fault.Find(f.Kind); err == nil && !k.Once {
		r.inForce = append(r.inForce, a.ID)
	}
	r.agenda.Added(r.g.Elapsed(), entry, a.ID)
	r.history()
	return nil
}

// heal ends a fault; one that the grid has ended by itself, at its time, is healed.
func (r *runner) heal(ctx context.Context, id string) error {
	if err := r.g.Heal(ctx, id); err != nil && !errors.Is(err, grid.ErrNoFault) {
		return fmt.Errorf("heal %s: %w", id, err)
	}
	r.healed(id)
	r.history()
	return nil
}

func (r *runner) healed(id string) {
	i := slices.IndexFunc(r.result.Faults, func(a grid.Applied) bool { return a.ID == id })
	a := &r.result.Faults[i]
	a.Healed = r.g.Elapsed()
	r.inForce = slices.DeleteFunc(r.inForce, func(other string) bool { return other == id })
	r.checker.Healed(*a, a.Healed)
	told := *a
	r.o.Tell(Note{Fault: &told})
}

func (r *runner) healAll(ctx context.Context) error {
	if err := r.g.HealAll(ctx); err != nil {
		return fmt.Errorf("heal all: %w", err)
	}
	for _, id := range slices.Clone(r.inForce) {
		r.healed(id)
	}
	r.settle = true
	r.note("check", "everything is healed; the grid has %s to recover", r.o.Settle)
	r.history()
	return nil
}

// job starts one. A grid that cannot take it now is not wrong: nothing was
// acknowledged.
func (r *runner) job(ctx context.Context) error {
	nodes, err := r.g.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("start a job: %w", err)
	}
	node, id, ok := r.agenda.Pick(nodes)
	if !ok {
		return nil
	}
	if err := r.g.Run(ctx, node, id, time.Duration(r.o.JobLasts)); err != nil {
		r.note("job", "%s on %s was not taken: %v", id, node, err)
		return nil
	}
	r.result.Jobs++
	return nil
}

func (r *runner) judge(ctx context.Context) error {
	f, err := r.facts(ctx)
	if err != nil {
		return err
	}
	found := r.checker.Settled(f, time.Duration(r.o.Settle), r.o.Excused...)
	r.violated(found)
	r.note("check", "%s", settledLine(found, f))
	return nil
}

func settledLine(found []invariant.Violation, f grid.Facts) string {
	if len(found) > 0 {
		return fmt.Sprintf("the grid has not recovered: %d things are not as they ought to be", len(found))
	}
	return fmt.Sprintf("the grid has recovered; nodes: %d, jobs: %d", len(f.Nodes), len(f.Jobs))
}

func (r *runner) why(v Verdict, why string) { r.result.Verdict, r.result.Why = v, why }

// finish gives the verdict. A violation counts also when the run broke off.
func (r *runner) finish() *Result {
	r.history()
	r.result.Began, r.result.Ended = r.agenda.Began(), r.g.Elapsed()
	switch {
	case len(r.result.Violations) > 0:
		r.why(Violated, r.result.Violations[0].String())
	case r.result.Verdict == BrokenOff:
	case len(r.result.Refused) > 0:
		r.why(BrokenOff, fmt.Sprintf("%d of %d faults were not in force; the first: %s", len(r.result.Refused), len(r.s), r.result.Refused[0]))
	default:
		r.why(Passed, "")
	}
	return &r.result
}
