package dispatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestPresenceReplacesAndFindsClones(t *testing.T) {
	const n api.NodeID = "020000000001"
	p := NewPresence(30 * time.Second)
	if got := p.Opened(n, 1, t0); got != 0 {
		t.Fatalf("first session replaces %d", got)
	}
	clone := false
	for i := uint64(2); i <= 4; i++ {
		now := t0.Add(time.Duration(i) * time.Second)
		if got := p.Opened(n, i, now); got != i-1 {
			t.Fatalf("session %d replaces %d", i, got)
		}
		if p.Closed(n, i-1) {
			t.Error("the end of a replaced session makes the node offline")
		}
		if p.Heard(n, i-1, now) {
			t.Error("a replaced session still counts")
		}
		clone = p.Answered(n, now)
		if clone != (i == 4) {
			t.Errorf("clone after %d replacements of a living session: %v", i-1, clone)
		}
	}
	if p.Closed(n, 4) != true {
		t.Error("the end of the session that counts is not seen")
	}
}

func TestPresenceForgivesRareReplacements(t *testing.T) {
	const n api.NodeID = "020000000001"
	p := NewPresence(30 * time.Second)
	for i := range uint64(10) {
		now := t0.Add(time.Duration(i) * 40 * time.Second)
		p.Opened(n, i+1, now)
		if p.Answered(n, now) {
			t.Fatalf("a node that changes its way every 40 s is called a clone at change %d", i)
		}
	}
}

func TestPresenceForgetsAClockThatWasAhead(t *testing.T) {
	const n api.NodeID = "020000000001"
	p := NewPresence(30 * time.Second)
	for i := range uint64(2) {
		p.Opened(n, i+1, t0.Add(time.Hour))
		p.Answered(n, t0.Add(time.Hour))
	}
	p.Opened(n, 3, t0)
	if p.Answered(n, t0) {
		t.Fatal("called a clone for what happened under a clock that was an hour ahead")
	}
}

func TestPresenceSilence(t *testing.T) {
	p := NewPresence(30 * time.Second)
	p.Opened("b", 1, t0)
	p.Opened("a", 2, t0)
	p.Heard("a", 2, t0.Add(20*time.Second))
	if got := p.Silent(t0.Add(30 * time.Second)); fmt.Sprint(got) != "[b]" {
		t.Errorf("silent: %v, want b", got)
	}
	p.Closed("b", 1)
	if got := p.Silent(t0.Add(50 * time.Second)); fmt.Sprint(got) != "[a]" {
		t.Errorf("silent: %v, want a", got)
	}
	p.Closed("a", 2)
	if p.Silent(t0.Add(time.Hour)); len(p.byNode) != 0 {
		t.Errorf("nodes that are gone are remembered: %v", p.byNode)
	}
}

// TestPresenceAgainstAList plays random steps, of a clock that is set back at
// times, and asks as well a list of who was heard when.
func TestPresenceAgainstAList(t *testing.T) {
	const silence = 10 * time.Second
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		p, now := NewPresence(silence), t0
		session, heard := map[api.NodeID]uint64{}, map[api.NodeID]time.Time{}
		for step := range uint64(500) {
			id := nodes(12)[random.IntN(12)]
			switch random.IntN(8) {
			case 0:
				p.Opened(id, step+1, now)
				session[id], heard[id] = step+1, now
			case 1:
				p.Answered(id, now)
			case 2:
				p.Closed(id, session[id])
				delete(session, id)
			case 3:
				now = now.Add(time.Duration(random.IntN(9)-2) * time.Second)
			default:
				if p.Heard(id, session[id], now) && session[id] != 0 {
					heard[id] = now
				}
			}
			var want []api.NodeID
			for _, id := range nodes(12) {
				if session[id] != 0 && now.Sub(heard[id]) >= silence {
					want = append(want, id)
				}
			}
			if got := p.Silent(now); !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: silent: %v, want %v", seed, step, got, want)
			}
		}
	}
}
