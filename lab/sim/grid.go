package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/sim/node"
	"github.com/g8os/g8os/lab/topology"
)

var _ grid.Grid = (*World)(nil)

// Fidelity implements grid.Grid.
func (w *World) Fidelity() string { return topology.Simulated }

// Plan implements grid.Grid.
func (w *World) Plan() *topology.Plan { return w.plan }

// Elapsed implements grid.Grid.
func (w *World) Elapsed() time.Duration { return w.e.Now() }

// Wait implements grid.Grid.
func (w *World) Wait(ctx context.Context, d time.Duration) error {
	return w.until(ctx, w.e.Now()+d)
}

// slice is how much virtual time passes between two looks at the context.
const slice = time.Second

func (w *World) until(ctx context.Context, end time.Duration) error {
	for w.e.Now() < end {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		w.e.Run(min(w.e.Now()+slice, end))
	}
	return nil
}

// lookEvery is how often Eventually looks, in virtual time; a crowd is looked
// at less often, since that takes longer than what happens meanwhile.
func (w *World) lookEvery() time.Duration {
	if len(w.nodes) > 100 {
		return time.Second
	}
	return 100 * time.Millisecond
}

// Eventually implements grid.Grid. There is no slack: virtual time is exact.
func (w *World) Eventually(ctx context.Context, within time.Duration, what string, holds func([]grid.Node) bool) error {
	end := w.e.Now() + within
	for {
		nodes, _ := w.Nodes(ctx)
		if holds(nodes) {
			return nil
		}
		if w.e.Now() >= end {
			return fmt.Errorf("%s: not within %s of virtual time; %s", what, within, grid.Whereabouts(nodes))
		}
		if err := w.until(ctx, min(w.e.Now()+w.lookEvery(), end)); err != nil {
			return err
		}
	}
}

// Nodes implements grid.Grid. Machines that a fault has added are not among them.
func (w *World) Nodes(context.Context) ([]grid.Node, error) {
	var all []grid.Node
	for _, m := range w.plan.Nodes {
		all = append(all, w.look(w.byName[m.Name]))
	}
	return all, nil
}

func (w *World) look(k *member) grid.Node {
	first := k.Host.NICs[0]
	n := grid.Node{
		Name: k.Name(), MAC: first.MAC, Segment: first.Segment().Name, Powered: k.Host.Powered, Running: k.Running(), Status: k.Status(),
	}
	for _, x := range k.Host.NICs {
		segment := x.Segment().Name
		if !x.Carrier() {
			segment = "" // unplugged
		}
		for _, a := range x.Addresses() {
			n.Holdings = append(n.Holdings, grid.Holding{NIC: x.Name, Segment: segment, Address: a})
		}
	}
	return n
}

// Boot implements grid.Grid.
func (w *World) Boot(_ context.Context, names ...string) error {
	if len(names) == 0 {
		w.boot(w.nodes)
		return nil
	}
	var chosen []*node.Node
	for _, name := range names {
		k, err := w.find(name)
		if err != nil {
			return err
		}
		chosen = append(chosen, k.Node)
	}
	w.boot(chosen)
	return nil
}

func (w *World) find(name string) (*member, error) {
	k := w.byName[name]
	if k == nil {
		return nil, fmt.Errorf("node %q: no such node in the grid", name)
	}
	return k, nil
}

// ac is the first AC that answers.
func (w *World) ac() (int, error) {
	for i, c := range w.acs {
		if c.Running() {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no AC answers")
}

// Approve implements grid.Grid.
func (w *World) Approve(_ context.Context, name string) error {
	k, err := w.find(name)
	if err != nil {
		return err
	}
	i, err := w.ac()
	if err != nil {
		return fmt.Errorf("approve %s: %w", name, err)
	}
	err = w.acs[i].Approve(w.idOf(k.Name()))
	if err == nil {
		k.count = 0 // the next counter is believed, whatever it is
	}
	w.changed()
	return err
}

// Run implements grid.Grid.
func (w *World) Run(_ context.Context, name, id string, lasts time.Duration) error {
	k, err := w.find(name)
	if err != nil {
		return err
	}
	if w.seen.byJob[id] != nil {
		return fmt.Errorf("job %s: there is one with this id already", id)
	}
	record := api.NodeID(w.idOf(k.Name()))
	for _, c := range w.acs {
		if !c.Running() || !c.Online(record) {
			continue
		}
		j := &grid.Job{ID: id, Node: name, Accepted: w.e.Now(), Expected: node.Pieces}
		if err := c.Exec(record, id, node.Argv(lasts)); err != nil {
			return err // nobody has taken it
		}
		w.seen.jobs, w.seen.byJob[id] = append(w.seen.jobs, j), j
		return nil
	}
	return fmt.Errorf("job %s: %s has no session with an AC that answers", id, name)
}

// Facts implements grid.Grid.
func (w *World) Facts(ctx context.Context) (grid.Facts, error) {
	f := w.seen.facts
	w.seen.facts = grid.Facts{}
	f.At = w.e.Now()
	f.Nodes, _ = w.Nodes(ctx)
	f.Overstays = w.overstayed()
	f.Disputes = w.disputes()
	f.Plaintext = w.plaintext()
	for _, j := range w.seen.jobs {
		f.Jobs = append(f.Jobs, *j)
	}
	return f, nil
}

// plaintext names the nodes on whose disk something lies that belongs into the
// private volume: a file below its mount point on the disk itself.
func (w *World) plaintext() []string {
	var out []string
	for _, n := range w.nodes {
		if entries, err := n.Disk().ReadDir("/mnt/etc"); err == nil && len(entries) > 0 {
			out = append(out, n.Name())
		}
	}
	return out
}

// History implements grid.Grid.
func (w *World) History() []grid.Event { return slices.Clip(w.seen.history) }

// Close implements grid.Grid.
func (w *World) Close(ctx context.Context) error { return w.HealAll(ctx) }
