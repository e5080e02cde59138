package sim

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/fault"
)

// An AC whose clock is ahead revokes every certificate, and is put right again:
// all nodes come back at once, and not when the calendar has caught up with the
// revocation. (Seed 639 of the swarm.)
func TestARevocationUnderAClockThatWasAhead(t *testing.T) {
	for _, by := range []string{"4m", "1h", "240h"} {
		t.Run(by, func(t *testing.T) {
			w, err := New(plan(t, 0), Options{Seed: 639})
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			settled := func(what string, within time.Duration) {
				t.Helper()
				if err := w.Eventually(ctx, within, "all nodes managed "+what, allManaged); err != nil {
					t.Fatal(err)
				}
			}
			settled("at first", 30*time.Second)
			before := granted(t, w)
			add(t, w, "ac-clock by="+by+" for=20s")
			if err := w.Wait(ctx, 5*time.Second); err != nil {
				t.Fatal(err)
			}
			add(t, w, "revoke")
			if err := w.Wait(ctx, 15*time.Second); err != nil {
				t.Fatal(err)
			}
			w.acs[0].Cut(func(api.NodeID) bool { return true }) // nobody goes on with what was made under the wrong clock
			settled("when the clock is right again", time.Minute)
			if err := w.Wait(ctx, time.Minute); err != nil {
				t.Fatal(err)
			}
			settled("a minute later", 0)
			if n, want := granted(t, w)-before, len(w.nodes); n < want || n > 3*want {
				t.Errorf("%d certificates for %d nodes after one revocation and one jump of the clock", n, want)
			}
		})
	}
}

func add(t *testing.T, w *World, text string) {
	t.Helper()
	f, err := fault.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// granted counts the certificates that nodes were given.
func granted(t *testing.T, w *World) (n int) {
	t.Helper()
	for _, k := range w.nodes {
		entries, err := w.Audit(k.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e, " certificate granted: ") {
				n++
			}
		}
	}
	return n
}
