//go:build planted

package planted

import (
	"context"
	"testing"
	"time"

	ac "github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/internal/planted"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/sim"
	"github.com/g8os/g8os/lab/topology"
)

// rotated are bugs that show while shares are rotated.
var rotated = []planted.Bug{planted.SlotToldEarly}

// The AC takes 3 s for each answer, and the power goes between that to the claim
// for the new share and that to what the node says next. The node boots with the
// slot that it has, unless the AC was told to forget the share of it.
func TestThePowerGoesInARotation(t *testing.T) {
	for _, b := range rotated {
		if f := cutInARotation(t, ""); f.by != "" {
			t.Fatalf("without the bug: %s", f.text)
		}
		f := cutInARotation(t, b)
		if f.by == "" {
			t.Fatalf("%s: every node boots", b)
		}
		note(b, topology.Simulated, "power cut in a rotation", f)
	}
}

func cutInARotation(t *testing.T, bug planted.Bug) found {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, began := context.Background(), time.Now()
	must(planted.Set(bug))
	defer func() { _ = planted.Set("") }()
	w, err := sim.New(plan(t), sim.Options{Seed: seed})
	must(err)
	managed := func(nodes []grid.Node) bool {
		for _, n := range nodes {
			if !n.Managed() {
				return false
			}
		}
		return true
	}
	must(w.Eventually(ctx, time.Minute, "all managed", managed))
	slow, err := w.Add(ctx, fault.Fault{Kind: ac.Slow, Nodes: []string{"office-1"}})
	must(err)
	must(w.Rotate(ctx, "unlock"))
	must(w.Wait(ctx, 4500*time.Millisecond)) // the second request that names the node is on its way
	_, err = w.Add(ctx, fault.Fault{Kind: fault.Power, On: "office-1", For: fault.Duration(10 * time.Second)})
	must(err)
	must(w.Wait(ctx, 5*time.Second))
	must(w.Heal(ctx, slow.ID))
	must(w.Wait(ctx, 6*time.Second))
	if err := w.Eventually(ctx, settle, "all managed", managed); err != nil {
		return found{by: invariant.Recovers, text: err.Error(), at: w.Elapsed(), cost: time.Since(began)}
	}
	return found{}
}
