package real

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topology"
)

// settle makes what a fault is about be as all faults in force ask, whether it
// is still among them or not, and returns how that was confirmed. It can be
// repeated, and goes on where another process was killed.
type settle func(*Grid, context.Context, entry) (grid.Measured, error)

var settlers = map[string]settle{
	fault.Cable: (*Grid).cable, fault.Kill: (*Grid).kill, fault.Pause: (*Grid).pause, fault.Power: (*Grid).power,
	fault.Clock: (*Grid).clock, fault.DiskFull: (*Grid).full, fault.ReadOnly: (*Grid).readOnly,
	fault.DamageSlot: (*Grid).damageSlots, fault.DamageCert: (*Grid).damageCertificate, fault.Move: (*Grid).move,
	fault.DHCPForeign: (*Grid).foreign, fault.Squatter: (*Grid).squatter, fault.Stranger: (*Grid).stranger,
	fault.ACKill: (*Grid).acKill, fault.ACPause: (*Grid).acPause,
}

func settlerOf(f fault.Fault) settle {
	k, _ := fault.Find(f.Kind) // it was checked
	switch s, ok := settlers[f.Kind]; {
	case ok:
		return s
	case k.Class == fault.Link:
		return (*Grid).link
	case k.Class == fault.Segment:
		return (*Grid).dhcp
	}
	return (*Grid).armed
}

// Check says whether a fault can be had in this grid, of which some nodes may
// be machines and others not.
func (g *Grid) Check(f fault.Fault) error {
	fidelity := g.Fidelity()
	if n, err := g.lab.FindNode(f.On); err == nil {
		fidelity = n.Plan().Fidelity
	}
	if err := fault.Check(f, g.Plan(), fidelity); err != nil {
		return err
	}
	if whole := time.Duration(f.By).Truncate(time.Second); whole != time.Duration(f.By) {
		return fmt.Errorf("fault %s: by %s: a node's clock is set in whole seconds here", f.Kind, f.By)
	}
	return nil
}

// Add puts a fault into force and returns once it was confirmed.
func (g *Grid) Add(ctx context.Context, f fault.Fault) (grid.Applied, error) {
	asked := g.Elapsed()
	if err := g.Check(f); err != nil {
		return grid.Applied{}, err
	}
	var e entry
	err := g.change(ctx, func(ctx context.Context) (err error) {
		e, err = g.add(ctx, f, asked)
		return err
	})
	if err != nil {
		return grid.Applied{}, fmt.Errorf("fault %s: %w", f, err)
	}
	return e.Applied, nil
}

func (g *Grid) add(ctx context.Context, f fault.Fault, asked time.Duration) (entry, error) {
	if f.For > 0 { // before anything is done: we may be killed at any moment
		if err := g.startKeeper(); err != nil {
			return entry{}, err
		}
	}
	e := g.l.add(f, asked)
	e.expires()
	g.l.put(e)
	if err := g.l.save(g.lab.Dir()); err != nil {
		return e, err
	}
	measured, err := settlerOf(f)(g, ctx, e)
	if err != nil {
		return e, errors.Join(err, g.giveUp(context.WithoutCancel(ctx), e))
	}
	e.InForce, e.Measured = g.Elapsed(), measured
	e.expires()
	g.noteFault(e)
	if once(f) {
		e = g.l.end(e, e.InForce)
	}
	g.l.put(e)
	return e, g.l.save(g.lab.Dir())
}

// giveUp undoes a fault that did not come into force.
func (g *Grid) giveUp(ctx context.Context, e entry) error {
	g.l.take(e.ID)
	var err error
	if !once(e.Fault) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_, err = settlerOf(e.Fault)(g, ctx, e)
	}
	return errors.Join(err, g.l.save(g.lab.Dir()))
}

// expires sets when a fault that begins now ends by itself.
func (e *entry) expires() {
	if e.Fault.For > 0 {
		e.Until = time.Now().Add(time.Duration(e.Fault.For))
	}
}

func once(f fault.Fault) bool {
	k, err := fault.Find(f.Kind)
	return err == nil && k.Once
}

// Heal ends a fault.
func (g *Grid) Heal(ctx context.Context, id string) error {
	return g.change(ctx, func(ctx context.Context) error {
		e, err := g.l.find(id)
		if err != nil {
			return err
		}
		return g.heal(ctx, e)
	})
}

// HealAll ends all faults, the newest first. One that cannot be ended keeps
// none of the others in force.
func (g *Grid) HealAll(ctx context.Context) error {
	return g.change(ctx, func(ctx context.Context) error {
		var failed []error
		for _, e := range slices.Backward(slices.Clone(g.l.Faults)) {
			failed = append(failed, g.heal(ctx, e))
		}
		return errors.Join(failed...)
	})
}

func (g *Grid) heal(ctx context.Context, e entry) error {
	g.l.take(e.ID)
	if !once(e.Fault) { // its maker was killed; what is damaged stays
		if _, err := settlerOf(e.Fault)(g, ctx, e); err != nil {
			g.l.restore(e)
			return fmt.Errorf("heal %s (%s): %w", e.ID, e.Fault, err)
		}
	}
	e = g.l.end(e, g.Elapsed())
	g.noteHeal(e)
	return g.l.save(g.lab.Dir())
}

// Faults lists those in force, oldest first.
func (g *Grid) Faults(context.Context) ([]grid.Applied, error) {
	if err := g.refresh(); err != nil {
		return nil, err
	}
	all := []grid.Applied{}
	for _, e := range g.l.Faults {
		all = append(all, e.Applied)
	}
	return all, nil
}

// Ended lists faults that are over, the newest last; it forgets the oldest.
func (g *Grid) Ended() []grid.Applied {
	var all []grid.Applied
	for _, e := range g.l.Ended {
		all = append(all, e.Applied)
	}
	return all
}

// until looks again and again until something holds, and fails when it has not
// for a while.
func until(ctx context.Context, what string, holds func() (bool, error)) error {
	limited, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for {
		ok, err := holds()
		if ok && err == nil {
			return nil
		}
		if !wait(limited, 5*time.Millisecond) {
			return errors.Join(fmt.Errorf("not confirmed within %s: %s", soon, what), err)
		}
	}
}

// soon is within what a change has to show.
const soon = 5 * time.Second

// isVM tells a node that is a machine.
func isVM(m topology.Machine) bool { return m.Fidelity == topology.Virtual }

// how is a confirmation without a number.
func how(format string, args ...any) grid.Measured {
	return grid.Measured{How: fmt.Sprintf(format, args...)}
}
