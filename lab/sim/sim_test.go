package sim

import (
	"context"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

func plan(t *testing.T, nodes int) *topology.Plan {
	t.Helper()
	top, err := topology.Parse("default.yaml", topologies.Default)
	if err != nil {
		t.Fatal(err)
	}
	if nodes > 0 {
		if err := top.Spread(nodes); err != nil {
			t.Fatal(err)
		}
	}
	p, err := top.Plan("sim")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func allManaged(nodes []grid.Node) bool {
	for _, n := range nodes {
		if !n.Managed() {
			return false
		}
	}
	return true
}

// comesUp waits until all nodes are managed.
func comesUp(t *testing.T, w *World) {
	t.Helper()
	if err := w.Eventually(context.Background(), 30*time.Second, "all nodes managed", allManaged); err != nil {
		t.Fatal(err)
	}
}

func TestTheGridComesUp(t *testing.T) {
	w, err := New(plan(t, 0), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	comesUp(t, w)
	for _, e := range w.History() {
		t.Log(e.At, e.Who, e.What, e.Text)
	}
}
