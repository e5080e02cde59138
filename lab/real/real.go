// Package real is the grid that a lab of namespaces or machines is: the
// vocabulary of lab/fault put into force on what really runs.
//
//	g, err := real.Open(l)
//	a, err := g.Add(ctx, fault.Fault{Kind: fault.DHCPSilent, On: "dhcp"})
//	err = g.Heal(ctx, a.ID)
//
// It promises what lab/grid promises, and that the faults belong to the lab and
// not to the process that added them: they are written down before anything is
// done (faults.json), any process lists and heals them, one at a time
// (faults.lock), and one with an end is ended by a keeper process, which runs
// as long as there is one and which g8lab down ends. Several faults on one
// thing add up; it is healed when the last of them is.
//
// Grid time is the time since the lab was brought up. Eventually may take
// Slack times as long as it was asked to: two cores are shared by all.
//
// A machine whose maker takes power, cables or processes away by other means
// than this package, while a fault of it is in force there, is set right when
// that fault is healed, not before.
package real

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topology"
)

// Slack is how many times as long as asked for Eventually waits before it
// fails: what is translated (TCG) takes its time.
func Slack(fidelity string) int {
	if fidelity == topology.Virtual {
		return 6
	}
	return 2
}

// patience bounds one change of the grid.
const patience = 3 * time.Minute

// Grid is a lab that is up. It implements grid.Grid.
type Grid struct {
	lab   *lab.Lab
	own   bool // it was brought up for the caller
	since time.Time

	l       ledger // as this process has seen it last
	history []grid.Event
	phases  map[string]string
	audits  map[string]*audit  // by AC
	met     map[string]int     // what was read of strangers' logs, by host
	secrets map[string]*secret // by node

	jobsMu sync.Mutex
	jobs   []*job
	follow sync.WaitGroup
	stop   context.CancelFunc // ends the following
	ctx    context.Context    // of the following
}

var _ grid.Grid = (*Grid)(nil)

// Open returns the grid of a lab that is up. Close it.
func Open(l *lab.Lab) (*Grid, error) {
	since, err := l.Since()
	if err != nil {
		return nil, err
	}
	g := &Grid{
		lab: l, since: since, phases: map[string]string{}, audits: map[string]*audit{},
		met: map[string]int{}, secrets: map[string]*secret{},
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	if g.l, err = loadLedger(l.Dir()); err != nil {
		return nil, err
	}
	return g, nil
}

// Up brings a lab up and returns its grid; Close takes it down.
func Up(ctx context.Context, t *topology.Topology, o lab.Options) (*Grid, error) {
	l, err := lab.Up(ctx, t, o)
	if err != nil {
		return nil, err
	}
	g, err := Open(l)
	if err != nil {
		return nil, err
	}
	g.own = true
	return g, nil
}

// Lab is the lab that the grid is.
func (g *Grid) Lab() *lab.Lab { return g.lab }

// Fidelity is that of the nodes: vm when one of them is a machine.
func (g *Grid) Fidelity() string {
	if slices.ContainsFunc(g.Plan().Nodes, func(m topology.Machine) bool { return m.Fidelity == topology.Virtual }) {
		return topology.Virtual
	}
	return topology.NetNS
}

// Plan is what the grid consists of.
func (g *Grid) Plan() *topology.Plan { return g.lab.Plan() }

// Elapsed is the time since the lab was brought up.
func (g *Grid) Elapsed() time.Duration { return time.Since(g.since) }

// Wait lets time pass.
func (g *Grid) Wait(ctx context.Context, d time.Duration) error {
	if !wait(ctx, d) {
		return fmt.Errorf("wait for %s: %w", d, ctx.Err())
	}
	return nil
}

// History is what this process has seen and done, oldest first.
func (g *Grid) History() []grid.Event { return slices.Clone(g.history) }

// note adds to the history.
func (g *Grid) note(at time.Duration, who, what, format string, args ...any) {
	g.history = append(g.history, grid.Event{At: at, Who: who, What: what, Text: fmt.Sprintf(format, args...)})
}

// Approve lets a node in that waits for it.
func (g *Grid) Approve(ctx context.Context, name string) error {
	n, err := g.lab.FindNode(name)
	if err != nil {
		return err
	}
	_, err = g.lab.ACs()[0].Approve(ctx, n)
	return err
}

// Boot gives power to nodes and starts g8os_core there, unless a fault in
// force keeps them from it. One that runs is left alone.
func (g *Grid) Boot(ctx context.Context, names ...string) error {
	var nodes []*lab.Node
	for _, name := range names {
		n, err := g.lab.FindNode(name)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	return g.change(ctx, func(ctx context.Context) error {
		if len(names) == 0 {
			nodes = g.lab.Nodes()
		}
		return each(nodes, func(n *lab.Node) error { return g.wake(ctx, n) })
	})
}

// Close heals what is in force, and takes a lab down that Up has brought up.
func (g *Grid) Close(ctx context.Context) error {
	g.stop()
	g.follow.Wait()
	if g.own {
		return g.lab.Down(ctx)
	}
	if err := g.HealAll(ctx); !errors.Is(err, lab.ErrNoLab) { // what was taken down is healed
		return err
	}
	return nil
}

// change does something to the lab while no other process does, with what the
// others have done taken in. What was changed of the ledger is written down,
// also when it failed.
func (g *Grid) change(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	held, err := lock(ctx, g.lab.Dir(), ledgerLock)
	if err != nil {
		return fmt.Errorf("lab %s: %w", g.lab.Name(), err)
	}
	defer held.Close()
	if err := g.refresh(); err != nil {
		return err
	}
	return do(ctx)
}

// refresh takes in what other processes have done, and notes it.
func (g *Grid) refresh() error {
	if err := g.lab.Refresh(); err != nil {
		return err
	}
	now, err := loadLedger(g.lab.Dir())
	if err != nil {
		return err
	}
	was := g.l
	g.l = now
	for _, e := range now.Ended {
		if !was.knew(e.ID) {
			g.noteFault(e)
		}
		if !was.saw(e.ID) {
			g.noteHeal(e)
		}
	}
	for _, e := range now.Faults {
		if !was.knew(e.ID) && e.InForce > 0 {
			g.noteFault(e)
		}
	}
	return nil
}

func (g *Grid) noteFault(e entry) {
	g.note(e.InForce, about(e.Fault), "fault", "%s %s: %s", e.ID, e.Fault, e.Measured.How)
}

func (g *Grid) noteHeal(e entry) {
	g.note(e.Healed, about(e.Fault), "heal", "%s %s", e.ID, e.Fault)
}

// about is whom a fault is about.
func about(f fault.Fault) string {
	for _, name := range []string{f.On, f.From, f.To} {
		if name != "" {
			return name
		}
	}
	return "run"
}
