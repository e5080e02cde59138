package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

// scripted is a grid in which a fault keeps its node from being managed, and
// what a test says happens, happens.
type scripted struct {
	plan    *topology.Plan
	now     time.Duration
	ids     int
	active  []grid.Applied
	history []grid.Event
	jobs    []grid.Job
	calls   []string

	refuse string                                 // kind that cannot be put into force
	stuck  string                                 // kind after which a node stays down
	facts  func(now time.Duration, f *grid.Facts) // adds what the test wants to be found
	waited func(now time.Duration)
	broken string // a node that is not managed, whatever is healed
	lost   bool   // nobody is told of a job
}

func newScripted(t *testing.T) *scripted {
	t.Helper()
	top, err := topology.Parse(topologies.DefaultFile, topologies.Default)
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan("x")
	if err != nil {
		t.Fatal(err)
	}
	return &scripted{plan: p, now: time.Minute}
}

func (g *scripted) call(format string, args ...any) {
	g.calls = append(g.calls, fmt.Sprintf("%s ", g.now)+fmt.Sprintf(format, args...))
}

func (g *scripted) Fidelity() string       { return "sim" }
func (g *scripted) Plan() *topology.Plan   { return g.plan }
func (g *scripted) Elapsed() time.Duration { return g.now }

func (g *scripted) Wait(ctx context.Context, d time.Duration) error {
	if g.now += d; g.waited != nil {
		g.waited(g.now)
	}
	return ctx.Err()
}

func (g *scripted) Eventually(context.Context, time.Duration, string, func([]grid.Node) bool) error {
	return errors.New("a run waits by itself")
}

func (g *scripted) down(name string) bool {
	return name == g.broken || slices.ContainsFunc(g.active, func(a grid.Applied) bool { return a.Fault.On == name })
}

func (g *scripted) Nodes(context.Context) ([]grid.Node, error) {
	var all []grid.Node
	for _, m := range g.plan.Nodes {
		n := grid.Node{Name: m.Name, Powered: true, Running: true, Status: api.Status{Phase: "managed"}}
		if g.down(m.Name) {
			n.Running, n.Status = false, api.Status{}
		}
		all = append(all, n)
	}
	return all, nil
}

func (g *scripted) Boot(context.Context, ...string) error          { return nil }
func (g *scripted) Approve(context.Context, string) error          { return nil }
func (g *scripted) Rotate(context.Context, string) error           { return nil }
func (g *scripted) Rotating(context.Context, string) (int, error)  { return 0, nil }
func (g *scripted) Close(context.Context) error                    { return nil }
func (g *scripted) History() []grid.Event                          { return g.history }
func (g *scripted) Faults(context.Context) ([]grid.Applied, error) { return g.active, nil }

func (g *scripted) Run(_ context.Context, node, id string, _ time.Duration) error {
	g.call("job %s on %s", id, node)
	g.jobs = append(g.jobs, grid.Job{ID: id, Node: node, Accepted: g.now, Started: 1, Told: !g.lost})
	return nil
}

func (g *scripted) Add(_ context.Context, f fault.Fault) (grid.Applied, error) {
	if f.Kind == g.refuse {
		return grid.Applied{}, errors.New("it cannot be now")
	}
	g.ids++
	a := grid.Applied{ID: fmt.Sprintf("f%d", g.ids), Fault: f, Asked: g.now, InForce: g.now}
	g.active = append(g.active, a)
	g.history = append(g.history, grid.Event{At: g.now, Who: f.On, What: "fault", Text: f.String()})
	g.call("add %s", f)
	return a, nil
}

func (g *scripted) Heal(_ context.Context, id string) error {
	g.call("heal %s", id)
	i := slices.IndexFunc(g.active, func(a grid.Applied) bool { return a.ID == id })
	if i < 0 {
		return grid.ErrNoFault
	}
	if g.active[i].Fault.Kind != g.stuck {
		g.active = slices.Delete(g.active, i, i+1)
	}
	return nil
}

func (g *scripted) HealAll(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	g.call("heal all")
	g.active = slices.DeleteFunc(g.active, func(a grid.Applied) bool { return a.Fault.Kind != g.stuck })
	return nil
}

func (g *scripted) Facts(ctx context.Context) (grid.Facts, error) {
	nodes, _ := g.Nodes(ctx)
	f := grid.Facts{At: g.now, Nodes: nodes, Jobs: g.jobs}
	if g.facts != nil {
		g.facts(g.now, &f)
	}
	return f, ctx.Err()
}
