package dispatch

import (
	"fmt"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

func nodes(n int) []api.NodeID {
	ids := make([]api.NodeID, n)
	for i := range ids {
		ids[i] = api.NodeID(fmt.Sprintf("020000%06x", i))
	}
	return ids
}

func present(n int) (*Presence, []api.NodeID) {
	p, ids := NewPresence(35*time.Second), nodes(n)
	for i, id := range ids {
		p.Opened(id, uint64(i+1), t0.Add(time.Duration(i)*time.Millisecond))
	}
	return p, ids
}

// BenchmarkSilent is a tick of 10 000 nodes that are all alive.
func BenchmarkSilent(b *testing.B) {
	p, _ := present(10_000)
	for b.Loop() {
		if got := p.Silent(t0.Add(20 * time.Second)); len(got) != 0 {
			b.Fatal(got)
		}
	}
}

// BenchmarkHeard is a heartbeat of one of 10 000 nodes, in turn.
func BenchmarkHeard(b *testing.B) {
	p, ids := present(10_000)
	i := 0
	for b.Loop() {
		n := i % len(ids)
		if !p.Heard(ids[n], uint64(n+1), t0.Add(time.Duration(i)*time.Millisecond)) {
			b.Fatal(n)
		}
		i++
	}
}
