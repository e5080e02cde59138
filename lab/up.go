package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

// ErrOther is wrapped when a lab of that name is up with another topology.
var ErrOther = errors.New("is up with another topology")

// ErrInPieces is wrapped when Up gave up half-way: there is something to be
// completed by Up, or taken away by Down. Without it nothing was touched.
var ErrInPieces = errors.New("is up in part")

// Up brings a lab up and returns when all machines have power and the AC
// answers; the nodes still have to climb (WaitManaged), virtual machines the
// last wave of them. A lab that is up is completed: whatever lost power or ended is started again, the rest is left
// alone. What can be refused is refused before anything is touched; any other
// error wraps ErrInPieces.
func Up(ctx context.Context, t *topology.Topology, o Options) (*Lab, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if err := record.CheckName(o.Name); err != nil {
		return nil, err
	}
	plan, err := t.Plan(o.Name)
	if err == nil {
		_, err = plan.Peers()
	}
	if err != nil {
		return nil, err
	}
	l := newLab(o)
	if l.st.BinDir, err = FindBinDir(o.BinDir); err != nil {
		return nil, err
	}
	if l.st.ImageDir, err = checkMachines(plan, o, l.st.BinDir); err != nil {
		return nil, err
	}
	l.st.Cold = o.Cold
	if err := checkPort(o); err != nil {
		return nil, err
	}
	if err := l.rec.Lock(); err != nil {
		return nil, err
	}
	defer l.rec.Unlock()
	if err := l.prepare(plan); err != nil {
		return nil, err
	}
	if err := l.build(ctx); err != nil {
		return nil, fmt.Errorf("lab %s %w: %w", o.Name, ErrInPieces, err)
	}
	return l, nil
}

// prepare loads the lab that is there, or writes down the new one.
func (l *Lab) prepare(plan *topology.Plan) error {
	asked := l.st
	err := l.load()
	switch {
	case err == nil && !samePlan(l.st.Plan, plan):
		return fmt.Errorf("lab %s %w; take it down first (g8lab down --lab %s), or bring this one up beside it (--lab NAME)",
			l.Name(), ErrOther, l.Name())
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case err == nil:
		l.opt.Progress("is up already; what is missing is completed")
	default:
		l.st = state{Plan: plan, Forward: map[string]int{}, Cuts: map[string][]fabric.Cut{}}
	}
	l.st.BinDir, l.st.ImageDir, l.st.Cold = asked.BinDir, asked.ImageDir, asked.Cold
	if err := l.rec.Create(); err != nil {
		return err
	}
	return l.rec.Save(stateFile, l.st)
}

// build goes through the steps; each does only what is missing.
func (l *Lab) build(ctx context.Context) error {
	steps := []struct {
		say string
		do  func(context.Context) error
	}{
		{"switches", l.buildSwitches},
		{"controller and DHCP", l.buildServices},
		{"nodes", l.buildNodes},
	}
	for _, s := range steps {
		l.opt.Progress(s.say)
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) buildServices(ctx context.Context) error {
	if err := l.makeKey(); err != nil {
		return err
	}
	if err := l.power(ctx, append(append([]topology.Machine{}, l.st.Plan.ACs...), l.st.Plan.DHCP...)); err != nil {
		return err
	}
	for _, s := range l.Segments() {
		if err := s.StartDHCP(ctx); err != nil {
			return err
		}
	}
	return l.buildACs(ctx)
}

func (l *Lab) buildNodes(ctx context.Context) error {
	if err := l.readyMachines(ctx); err != nil {
		return err
	}
	for _, n := range l.Nodes() {
		if err := n.body().furnish(); err != nil {
			return err
		}
	}
	var namespaces []topology.Machine
	var machines []*Node
	for _, n := range l.Nodes() {
		if isVM(n.plan) {
			machines = append(machines, n)
		} else {
			namespaces = append(namespaces, n.plan)
		}
	}
	if err := l.power(ctx, namespaces); err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error { return l.startNamespaces(ctx, namespaces) })
	g.Go(func() error { return l.startMachines(ctx, machines) })
	return g.Wait()
}

func (l *Lab) startNamespaces(ctx context.Context, all []topology.Machine) error {
	if l.opt.Hold {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(8)
	for _, m := range all {
		g.Go(func() error { return l.Node(m.Name).StartCore(ctx) })
	}
	return g.Wait()
}

// power gives power to those machines that have none: fork, note down, plug
// in, connect, boot. Only the forks are one by one; the ports of a
// segment go in by one transaction.
func (l *Lab) power(ctx context.Context, wanted []topology.Machine) error {
	var off []topology.Machine
	for _, m := range wanted {
		up, err := l.machine(m.Name)
		if err == nil && isVM(m) && !(vmBody{l.Node(m.Name)}).stands(ctx) {
			if err := up.PowerOff(ctx); err != nil {
				return err
			}
			err = errNoQEMU
		}
		if err != nil {
			off = append(off, m)
		}
	}
	if len(off) == 0 {
		return nil
	}
	makers := make([]*machine.Maker, len(off))
	defer func() {
		for _, mk := range makers {
			if mk != nil {
				mk.Abandon()
			}
		}
	}()
	for i, m := range off {
		mk, err := l.create(m)
		if err != nil {
			return err
		}
		makers[i] = mk
	}
	if err := l.plug(ctx, off, makers); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(8)
	for i, m := range off {
		g.Go(func() error { return l.boot(ctx, m, makers[i]) })
	}
	return g.Wait()
}

// create forks a machine's init and notes it down before it may do anything.
func (l *Lab) create(m topology.Machine) (*machine.Maker, error) {
	dirs := []string{l.machineDir(m.Name), l.LogDir()}
	if m.AC != nil {
		dirs = append(dirs, l.dataDir(m.Name))
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	for _, left := range []string{"control", wholeFile} {
		if err := os.Remove(filepath.Join(l.machineDir(m.Name), left)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	listeners, err := l.listeners(m)
	if err != nil {
		return nil, err
	}
	mk, err := machine.Create(l.Name(), m.Name, filepath.Join(l.LogDir(), m.Name+".init.log"), listeners...)
	if err != nil {
		return nil, err
	}
	if err := l.rec.Note(record.Event{Time: now(), Kind: "create", Machine: m.Name, Proc: &mk.Proc}); err != nil {
		mk.Abandon()
		return nil, err
	}
	return mk, nil
}

// plug makes the cables of new machines and connects them, segment by segment.
func (l *Lab) plug(ctx context.Context, off []topology.Machine, makers []*machine.Maker) error {
	all := map[string][]fabric.Port{}
	for i, m := range off {
		if isVM(m) {
			continue // taps, once QEMU runs
		}
		for _, p := range ports(m) {
			s, err := l.fabric(p.Segment)
			if err != nil {
				return err
			}
			if err := s.Plug(makers[i].Proc.PID, p); err != nil {
				return err
			}
			all[p.Segment] = append(all[p.Segment], p)
		}
	}
	var g errgroup.Group
	for segment, ports := range all {
		g.Go(func() error { return l.connect(ctx, segment, ports) })
	}
	return g.Wait()
}

// connect attaches new ports to a segment and puts back in force what is wrong with it.
func (l *Lab) connect(ctx context.Context, segment string, ports []fabric.Port) error {
	sw, err := l.fabric(segment)
	if err != nil {
		return err
	}
	if err := sw.Connect(ctx, l.Name(), nil, ports); err != nil {
		return err
	}
	return l.Segment(segment).restore(ctx, sw)
}

// ports are a machine's NICs as the switches know them.
func ports(m topology.Machine) []fabric.Port {
	var all []fabric.Port
	for _, p := range m.Ports {
		all = append(all, fabric.Port{Machine: m.Name, NIC: p.NIC, MAC: p.MAC, Segment: p.Segment})
	}
	return all
}

func (l *Lab) boot(ctx context.Context, m topology.Machine, mk *machine.Maker) error {
	spec, err := l.spec(m)
	if err != nil {
		return err
	}
	up, err := mk.Boot(ctx, spec)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.machines[m.Name] = up
	l.mu.Unlock()
	if err := l.rec.Note(record.Event{Time: now(), Kind: "boot", Machine: m.Name}); err != nil {
		return err
	}
	if err := l.startTPM(ctx, m, up); err != nil {
		return errors.Join(err, up.PowerOff(context.WithoutCancel(ctx)))
	}
	if !isVM(m) {
		return nil
	}
	if err := (vmBody{l.Node(m.Name)}).poweron(ctx); err != nil {
		return errors.Join(err, up.PowerOff(context.WithoutCancel(ctx))) // half a machine is of no use
	}
	return nil
}
