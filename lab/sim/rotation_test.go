package sim

import (
	"context"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/chaos"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/topology"
)

// rotating is a grid whose operator rotates one kind of key after the other,
// whatever else happens to it.
type rotating struct {
	*World
	next  time.Duration
	kind  int
	begun map[api.RotateKind]int
}

const rotateEvery = 7 * time.Second

// Wait implements grid.Grid.
func (r *rotating) Wait(ctx context.Context, d time.Duration) error {
	for end := r.Elapsed() + d; r.Elapsed() < end; {
		if err := r.World.Wait(ctx, min(end-r.Elapsed(), time.Second)); err != nil {
			return err
		}
		if r.Elapsed() < r.next {
			continue
		}
		r.next = r.Elapsed() + rotateEvery
		k := api.RotateKinds()[r.kind%len(api.RotateKinds())]
		r.kind++
		if r.Rotate(ctx, string(k)) == nil { // without an AC, or while another one is on, it is not begun
			r.begun[k]++
		}
	}
	return nil
}

// Swarms of faults fall on a grid whose keys are rotated all the time: no
// invariant is violated, every node recovers, and every rotation comes to its
// end.
func TestRotationsUnderSwarmsOfFaults(t *testing.T) {
	ctx, began := context.Background(), map[api.RotateKind]int{}
	for seed := range uint64(8) {
		p := plan(t, 9)
		s, _, err := chaos.Swarm(seed+1, p, topology.Simulated, 3*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		w, err := New(p, Options{Seed: seed + 1})
		if err != nil {
			t.Fatal(err)
		}
		g := &rotating{World: w, begun: began}
		r, err := run.Run(ctx, g, s, run.Options{Ready: true, Settle: fault.Duration(2 * time.Minute), Jobs: fault.Duration(20 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != run.Passed {
			t.Errorf("seed %d: %s: %s %v\n%s", seed+1, r.Verdict, r.Why, r.Violations, s)
			continue
		}
		for _, k := range api.RotateKinds() {
			var left int
			over := func([]grid.Node) bool {
				left, err = w.Rotating(ctx, string(k))
				return err == nil && left == 0
			}
			if err := w.Eventually(ctx, 2*time.Minute, "the rotation is over", over); err != nil && left > 0 {
				all, _ := w.acs[0].Rotations()
				t.Errorf("seed %d: %s is not over: %+v", seed+1, k, all)
			}
		}
	}
	for _, k := range api.RotateKinds() {
		if began[k] < 8 {
			t.Errorf("%s was rotated %d times only", k, began[k])
		}
	}
}
