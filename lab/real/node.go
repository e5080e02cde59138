package real

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
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

// spoil puts what is wrong with the disk of a machine back into force.
func (g *Grid) spoil(ctx context.Context, n *lab.Node) error {
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

// pulled tells whether a fault in force has a cable pulled.
func (g *Grid) pulled(node, nic string) bool {
	return len(g.l.of(func(f fault.Fault) bool { return f.Kind == fault.Cable && f.On == node && nicOf(f) == nic })) > 0
}

// nicOf is the NIC that a fault names, or the first.
func nicOf(f fault.Fault) string {
	if f.NIC == "" {
		return "eth0"
	}
	return f.NIC
}

// nicNumber is the place of the NIC that a fault names.
func nicNumber(n *lab.Node, f fault.Fault) int {
	for i, p := range n.Plan().Ports {
		if p.NIC == nicOf(f) {
			return i
		}
	}
	return -1 // the lab says what there is
}

func (g *Grid) cable(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	nic := nicOf(e.Fault)
	want := g.pulled(n.Name(), nic)
	if !n.Powered() {
		return how("it has no power; the cable is out when it has"), nil
	}
	if err := n.SetCarrier(ctx, nicNumber(n, e.Fault), !want); err != nil {
		return grid.Measured{}, err
	}
	var carrier string
	err = until(ctx, nic+" has lost its carrier, or has it back", func() (bool, error) {
		carrier, err = g.carrier(ctx, n, nic)
		return carrier == "" || (carrier == "1") != want, err
	})
	if carrier == "" {
		return how("its end of the cable is down, and so is %s", nic), err
	}
	return how("%s says carrier %s", nic, carrier), err
}

// carrier is what the node sees: 1, 0, or nothing when the NIC is down.
func (g *Grid) carrier(ctx context.Context, n *lab.Node, nic string) (string, error) {
	path := "/sys/class/net/" + nic + "/carrier"
	if isVM(n.Plan()) {
		r, err := g.inside(ctx, n, "cat", path)
		return strings.TrimSpace(r), err
	}
	proc, err := g.lab.Init(n.Name())
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(proc.PID) + "/root" + path)
	if errors.Is(err, syscall.EINVAL) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// move plugs a NIC in where the newest fault wants it, or where it belongs.
func (g *Grid) move(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	to := ""
	for _, f := range g.l.of(func(f fault.Fault) bool {
		return f.Kind == fault.Move && f.On == n.Name() && nicOf(f) == nicOf(e.Fault)
	}) {
		to = f.To
	}
	i := nicNumber(n, e.Fault)
	if err := n.Move(ctx, i, to); err != nil {
		return grid.Measured{}, err
	}
	if g.pulled(n.Name(), nicOf(e.Fault)) && n.Powered() {
		if err := n.SetCarrier(ctx, i, false); err != nil {
			return grid.Measured{}, err
		}
	}
	return how("the switch of segment %s has its port", n.Plan().Ports[i].Segment), nil
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
