package real

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// controllers are the ACs that a fault is about.
func (g *Grid) controllers(f fault.Fault) ([]*lab.AC, error) {
	if f.On == "" {
		return g.lab.ACs(), nil
	}
	a, err := g.lab.FindAC(f.On)
	return []*lab.AC{a}, err
}

// onAC tells whether a fault in force of a kind is about an AC.
func (l *ledger) onAC(kind, ac string) bool {
	return len(l.of(func(f fault.Fault) bool { return f.Kind == kind && (f.On == "" || f.On == ac) })) > 0
}

// mute tells whether a fault in force keeps an AC from being told anything.
func (l *ledger) mute(ac string) bool { return l.onAC(fault.ACKill, ac) || l.onAC(fault.ACPause, ac) }

// majority tells whether so many ACs are not killed or frozen that those that
// are there can be ready.
func (g *Grid) majority() bool {
	all, there := g.lab.ACs(), 0
	for _, a := range all {
		if !g.l.mute(a.Name()) {
			there++
		}
	}
	return there > len(all)/2
}

// everyAC does something to all ACs of a fault.
func (g *Grid) everyAC(e entry, do func(*lab.AC) (grid.Measured, error)) (grid.Measured, error) {
	acs, err := g.controllers(e.Fault)
	if err != nil {
		return grid.Measured{}, err
	}
	var all []grid.Measured
	for _, a := range acs {
		m, err := do(a)
		if err != nil {
			return grid.Measured{}, err
		}
		all = append(all, m)
	}
	return merge(all), nil
}

func (g *Grid) acKill(ctx context.Context, e entry) (grid.Measured, error) {
	return g.everyAC(e, func(a *lab.AC) (grid.Measured, error) {
		was, err := g.lab.Job(ctx, a.Name(), lab.ACJob)
		if err != nil {
			return grid.Measured{}, err
		}
		if !g.l.onAC(fault.ACKill, a.Name()) {
			if !g.majority() {
				return how("g8os_ac of %s is started, and waits for a majority", a.Name()), a.Launch(ctx)
			}
			if err := a.Start(ctx); err != nil {
				return grid.Measured{}, err
			}
			if g.l.onAC(fault.ACPause, a.Name()) {
				return how("g8os_ac of %s runs and is frozen", a.Name()), a.Pause(ctx)
			}
			return how("g8os_ac of %s is ready", a.Name()), g.tellArmed(ctx, a, "")
		}
		if was.State == 0 {
			return how("g8os_ac of %s did not run", a.Name()), nil
		}
		if err := a.Kill(ctx); err != nil {
			return grid.Measured{}, err
		}
		return how("process %d of %s has ended", was.PID, a.Name()), nil
	})
}

func (g *Grid) acPause(ctx context.Context, e entry) (grid.Measured, error) {
	return g.everyAC(e, func(a *lab.AC) (grid.Measured, error) {
		want := g.l.onAC(fault.ACPause, a.Name())
		j, err := g.lab.Job(ctx, a.Name(), lab.ACJob)
		if err != nil {
			return grid.Measured{}, err
		}
		if j.State == 0 {
			return how("g8os_ac of %s does not run", a.Name()), nil
		}
		do := a.Resume
		if want {
			do = a.Pause
		}
		if err := do(ctx); err != nil {
			return grid.Measured{}, err
		}
		err = until(ctx, "g8os_ac of "+a.Name()+" is stopped, or goes on", func() (bool, error) {
			j, err = g.lab.Job(ctx, a.Name(), lab.ACJob)
			return j.Stopped() == want, err
		})
		if err == nil && !want {
			err = errors.Join(a.WaitReady(ctx), g.tellArmed(ctx, a, ""))
		}
		return how("process %d of %s is in state %c (stopped)", j.PID, a.Name(), j.State), err
	})
}

// armed has an AC misbehave by itself.
func (g *Grid) armed(ctx context.Context, e entry) (grid.Measured, error) {
	name := e.Fault.Kind
	return g.everyAC(e, func(a *lab.AC) (grid.Measured, error) {
		if g.l.mute(a.Name()) {
			if once(e.Fault) {
				return grid.Measured{}, fmt.Errorf("AC %s is killed or frozen by a fault and cannot be told; heal that first", a.Name())
			}
			g.l.Owed = append(g.l.Owed, debt{AC: a.Name(), Name: name})
			return how("%s cannot be told now; it is when it can", a.Name()), nil
		}
		if err := g.tellArmed(ctx, a, name); err != nil {
			return grid.Measured{}, err
		}
		if once(e.Fault) {
			return how("%s has done it", a.Name()), a.Clear(ctx, name)
		}
		return how("%s lists %s as armed", a.Name(), name), nil
	})
}

// tellArmed has an AC armed with exactly what the faults in force ask: as for
// one name, or as for all that may have changed while it could not be told.
func (g *Grid) tellArmed(ctx context.Context, a *lab.AC, name string) error {
	if g.l.mute(a.Name()) {
		return nil
	}
	names := []string{name}
	if name == "" {
		names = g.l.mayDiffer(a.Name())
	}
	for _, name := range names {
		if err := g.arm(ctx, a, name); err != nil {
			return err
		}
	}
	g.l.Owed = slices.DeleteFunc(g.l.Owed, func(d debt) bool { return d.AC == a.Name() && slices.Contains(names, d.Name) })
	return nil
}

// mayDiffer lists what an AC that was away is to be asked for: what is in
// force, and what has ended meanwhile.
func (l *ledger) mayDiffer(ac string) []string {
	var names []string
	for _, f := range l.of(func(f fault.Fault) bool { return fault.Armed(f.Kind) && (f.On == "" || f.On == ac) }) {
		names = append(names, f.Kind)
	}
	for _, d := range l.Owed {
		if d.AC == ac {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// arm arms or clears one fault of an AC and has it say so.
func (g *Grid) arm(ctx context.Context, a *lab.AC, name string) error {
	want, towards, err := g.towards(a, name)
	if err != nil {
		return err
	}
	if want {
		err = a.Arm(ctx, name, towards...)
	} else {
		err = a.Clear(ctx, name)
	}
	if err != nil {
		return err
	}
	all, err := a.Faults(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(f lab.Fault) bool { return f.Name == name })
	if (i >= 0) != want {
		return fmt.Errorf("%s: AC %s lists as armed: %v", name, a.Name(), all)
	}
	if want && !sameNodes(all[i].Nodes, towards) {
		return fmt.Errorf("%s: AC %s has it armed towards %v", name, a.Name(), all[i].Nodes)
	}
	return nil
}

// towards is whether a fault of an AC is to be armed, and towards whom: all
// that any fault in force names, or (nobody named) everybody.
func (g *Grid) towards(a *lab.AC, name string) (want bool, nodes []*lab.Node, err error) {
	var names []string
	for _, f := range g.l.of(func(f fault.Fault) bool { return f.Kind == name && (f.On == "" || f.On == a.Name()) }) {
		if len(f.Nodes) == 0 {
			return true, nil, nil
		}
		want, names = true, append(names, f.Nodes...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		n, err := g.lab.FindNode(name)
		if err != nil {
			return want, nil, err
		}
		nodes = append(nodes, n)
	}
	return want, nodes, nil
}

func sameNodes(ids []api.NodeID, nodes []*lab.Node) bool {
	return len(ids) == len(nodes) && !slices.ContainsFunc(nodes, func(n *lab.Node) bool { return !slices.Contains(ids, n.ID()) })
}
