package sim

import (
	"context"
	"testing"
	"time"
)

// scaled is a grid of n nodes that get their power within ten seconds.
func scaled(t testing.TB, n, acs int) *World {
	t.Helper()
	top, err := Scale(n, acs)
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan("sim")
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(p, Options{Seed: 42, Boot: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// How long a thousand nodes take for an hour is in ci/bench; here it is that a
// crowd comes up, stays up, and has one history.
func TestACrowdComesUpAndStaysUp(t *testing.T) {
	var hashes [2]uint64
	for i := range hashes {
		w := scaled(t, 150, 2)
		ctx := context.Background()
		if err := w.Eventually(ctx, 2*time.Minute, "all nodes managed", allManaged); err != nil {
			t.Fatal(err)
		}
		if err := w.Wait(ctx, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		if nodes, _ := w.Nodes(ctx); !allManaged(nodes) {
			t.Error("not all are managed after five minutes in which nothing happened")
		}
		hashes[i] = w.Hash()
	}
	if hashes[0] != hashes[1] {
		t.Errorf("two runs of one seed: %016x and %016x", hashes[0], hashes[1])
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct{ nodes, acs, segments int }{{1, 1, 1}, {3, 1, 3}, {120, 2, 3}, {1000, 3, 9}} {
		top, err := Scale(c.nodes, c.acs)
		if err != nil {
			t.Fatal(err)
		}
		p, err := top.Plan("x")
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Nodes) != c.nodes || len(p.ACs) != c.acs || len(p.Segments) != c.segments {
			t.Errorf("%+v: %d nodes, %d ACs, %d segments", c, len(p.Nodes), len(p.ACs), len(p.Segments))
		}
	}
	for _, bad := range [][2]int{{0, 1}, {1, 0}} {
		if _, err := Scale(bad[0], bad[1]); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
