package lab

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/topology"
)

func (l *Lab) buildSwitches(ctx context.Context) error {
	var all []topology.Machine
	for _, seg := range l.st.Plan.Segments {
		all = append(all, topology.Machine{Name: switchName(seg.Name)})
		if _, err := l.machine(switchName(seg.Name)); err == nil {
			continue
		}
		if err := l.forgetSwitch(ctx, seg.Name); err != nil {
			return err
		}
	}
	if err := l.power(ctx, all); err != nil {
		return err
	}
	var g errgroup.Group
	for _, seg := range l.st.Plan.Segments {
		g.Go(func() error { return l.buildSwitch(ctx, seg.Name) })
	}
	return g.Wait()
}

// forgetSwitch clears up behind a switch that lost power: the cables went with
// its namespace, so the machines at their other ends lose power too, and get
// new ones with it.
func (l *Lab) forgetSwitch(ctx context.Context, segment string) error {
	on := func(p topology.Port) bool { return p.Segment == segment }
	for _, m := range slices.Concat(l.st.Plan.ACs, l.st.Plan.DHCP, l.st.Plan.Nodes) {
		up, err := l.machine(m.Name)
		if err != nil || !slices.ContainsFunc(m.Ports, on) {
			continue
		}
		if err := up.PowerOff(ctx); err != nil {
			return err
		}
	}
	return fabric.Forget(l.machineDir(switchName(segment)))
}

func (l *Lab) buildSwitch(ctx context.Context, segment string) error {
	m, err := l.machine(switchName(segment))
	if err != nil {
		return err
	}
	s, err := fabric.Boot(ctx, m, l.machineDir(m.Name))
	if err != nil {
		return err
	}
	if err := s.Connect(ctx, l.Name(), []string{segment}, nil); err != nil {
		return err
	}
	return l.Segment(segment).restore(ctx, s)
}
