package real

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// wake gives a node power, starts g8os_core, and puts back into force what was
// lost with the power, all as the faults in force allow.
func (g *Grid) wake(ctx context.Context, n *lab.Node) error {
	name, vm := n.Name(), isVM(n.Plan())
	if g.l.has(fault.Power, name) {
		return nil
	}
	fresh := !n.Powered()
	if fresh {
		if err := g.powerOn(ctx, n); err != nil {
			return err
		}
	}
	if fresh && !vm {
		if err := g.setReadOnly(ctx, n); err != nil {
			return err
		}
	}
	if vm || !g.l.has(fault.Kill, name) {
		if err := n.StartCoreWith(ctx, g.skew(n)); err != nil {
			return err
		}
	}
	if fresh && vm {
		if err := g.spoil(ctx, n); err != nil {
			return err
		}
	}
	if g.l.has(fault.Pause, name) {
		return n.Pause(ctx)
	}
	return nil
}

// spoil puts what is wrong with the disk of a machine back into force, once its
// system has mounted it.
func (g *Grid) spoil(ctx context.Context, n *lab.Node) error {
	if !g.l.has(fault.DiskFull, n.Name()) && !g.l.has(fault.ReadOnly, n.Name()) {
		return nil
	}
	for {
		_, err := g.isReadOnly(ctx, n)
		if err == nil {
			break
		}
		if !wait(ctx, g.askAgain()) {
			return err
		}
	}
	if g.l.has(fault.DiskFull, n.Name()) {
		if err := g.setFull(ctx, n); err != nil {
			return err
		}
	}
	if g.l.has(fault.ReadOnly, n.Name()) {
		return g.setReadOnly(ctx, n)
	}
	return nil
}

func (g *Grid) powerOn(ctx context.Context, n *lab.Node) error {
	if err := n.PowerOnHeld(ctx); err != nil {
		return err
	}
	for i, p := range n.Plan().Ports {
		if g.pulled(n.Name(), p.NIC) {
			if err := n.SetCarrier(ctx, i, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// skew is how far a node's clock is off.
func (g *Grid) skew(n *lab.Node) time.Duration {
	skew := n.Plan().Clock
	for _, f := range g.l.of(func(f fault.Fault) bool { return f.Kind == fault.Clock && f.On == n.Name() }) {
		skew += time.Duration(f.By)
	}
	return skew
}

func (g *Grid) power(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	if !g.l.has(fault.Power, n.Name()) {
		return grid.Measured{}, g.wake(ctx, n)
	}
	was, err := g.lab.Init(n.Name())
	if err != nil {
		return how("it had no power"), nil
	}
	if err := n.PowerCut(ctx); err != nil {
		return grid.Measured{}, err
	}
	if n.Powered() {
		return grid.Measured{}, fmt.Errorf("its init, process %d, still runs", was.PID)
	}
	return how("its init, process %d, and all under it are gone", was.PID), nil
}

func (g *Grid) kill(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	if !g.l.has(fault.Kill, n.Name()) {
		return grid.Measured{}, g.wake(ctx, n)
	}
	if !n.Powered() {
		return how("it has no power"), nil
	}
	st, err := n.Core(ctx)
	if err != nil || !st.Running {
		return how("g8os_core did not run"), err
	}
	if err := n.KillCore(ctx, syscall.SIGKILL); err != nil {
		return grid.Measured{}, err
	}
	if isVM(n.Plan()) {
		return how("process %d has ended; PID 1 starts g8os_core again", st.PID), nil
	}
	now, err := g.lab.Job(ctx, n.Name(), lab.CoreJob)
	if err == nil && now.State != 0 {
		err = fmt.Errorf("g8os_core runs as process %d", now.PID)
	}
	return how("process %d has ended", st.PID), err
}

func (g *Grid) pause(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	want := g.l.has(fault.Pause, n.Name())
	if !n.Powered() {
		return how("it has no power; it is frozen when it has"), nil
	}
	do := n.Resume
	if want {
		do = n.Pause
	}
	if err := do(ctx); err != nil {
		return grid.Measured{}, err
	}
	if isVM(n.Plan()) {
		err := until(ctx, "the machine stands still", func() (bool, error) { return n.Paused(ctx) == want, nil })
		return how("QEMU says that the machine is paused"), err
	}
	var j lab.Job
	err = until(ctx, "g8os_core is stopped, or goes on", func() (bool, error) {
		j, err = g.lab.Job(ctx, n.Name(), lab.CoreJob)
		return j.State == 0 || j.Stopped() == want, err
	})
	if j.State == 0 {
		return how("g8os_core does not run; everything else is stopped"), err
	}
	return how("process %d is in state %c (stopped)", j.PID, j.State), err
}

// clock has the node start again with another clock: nodes share the host's.
func (g *Grid) clock(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	if !n.Powered() {
		return how("it has no power; its clock is off when it has"), nil
	}
	st, err := n.Core(ctx)
	if err != nil || !st.Running {
		return how("g8os_core does not run; its clock is off when it does"), err
	}
	if err := n.KillCore(ctx, syscall.SIGKILL); err != nil {
		return grid.Measured{}, err
	}
	if err := g.wake(ctx, n); err != nil {
		return grid.Measured{}, err
	}
	j, err := g.lab.Job(ctx, n.Name(), lab.CoreJob)
	if err != nil {
		return grid.Measured{}, err
	}
	has, err := clockOf(j.Argv)
	if err == nil && has != g.skew(n) {
		err = fmt.Errorf("its clock is off by %s, not by %s", has, g.skew(n))
	}
	return how("g8os_core was started again (process %d), its clock off by %s", j.PID, has), err
}

// clockOf reads how far a clock is off from the arguments of g8os_core.
func clockOf(argv []string) (time.Duration, error) {
	i := slices.Index(argv, "--clock")
	if i < 0 || i+1 == len(argv) {
		return 0, fmt.Errorf("g8os_core was started without a clock: %q", argv)
	}
	_, by, ok := strings.Cut(argv[i+1], ":")
	if !ok {
		return 0, nil
	}
	return time.ParseDuration(by)
}

// each does something to all nodes, some at a time.
func each(nodes []*lab.Node, do func(*lab.Node) error) error {
	var all errgroup.Group
	all.SetLimit(8)
	for _, n := range nodes {
		all.Go(func() error { return do(n) })
	}
	return all.Wait()
}
