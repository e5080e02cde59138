package sim

import (
	"context"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// A card that comes in the place of another is a new one to the kernel: bare and
// down. It is used as the one before it was, whatever g8os_core found on record
// when it was started, and also when it did not run meanwhile.
func TestReplacedCard(t *testing.T) {
	const node = "office-2"
	kill, move := fault.Fault{Kind: fault.Kill, On: node}, fault.Fault{Kind: fault.Move, On: node, To: "isolated"}
	for name, faults := range map[string][]fault.Fault{
		"in the first run":      {move},
		"after another start":   {kill, {}, move},
		"while it does not run": {kill, move},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := New(plan(t, 0), Options{Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			over := func(way string, within time.Duration) {
				t.Helper()
				if err := w.Eventually(ctx, within, node+" managed over "+way, func(nodes []grid.Node) bool {
					s := w.byName[node].Status()
					return allManaged(nodes) && s.Way == way
				}); err != nil {
					t.Fatal(err)
				}
			}
			over("configured", 30*time.Second)
			old := w.byName[node].Host.NICs[0].Index
			for _, f := range faults {
				if f.Kind == "" {
					heal(t, w, fault.Kill)
					over("configured", 30*time.Second)
				} else if _, err := w.Add(ctx, f); err != nil {
					t.Fatal(err)
				}
			}
			heal(t, w, fault.Kill)
			if x := w.byName[node].Host.NICs[0]; x.Index == old || x.Up || len(x.Addresses()) > 0 {
				t.Fatalf("that is no new card: %+v", x)
			}
			over("fallback", time.Minute)
			heal(t, w, fault.Move)
			over("configured", time.Minute)
		})
	}
}

// heal ends the faults of a kind.
func heal(t *testing.T, w *World, kind string) {
	t.Helper()
	all, _ := w.Faults(context.Background())
	for _, a := range all {
		if a.Fault.Kind != kind {
			continue
		}
		if err := w.Heal(context.Background(), a.ID); err != nil {
			t.Fatal(err)
		}
	}
}
