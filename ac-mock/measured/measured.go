// Package measured keeps what nodes measured of themselves last, as long as
// that is news.
//
// It promises that what it keeps is bounded, whoever sends: one set of figures a
// node, at most Most nodes, and figures that a machine can have. It keeps no
// history (Prometheus does) and nothing over a restart: nodes send again within
// seconds.
package measured

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
)

const (
	// Most is how many nodes are kept; others are left out.
	Most = 10_000
	// Keep is for how long what a node said is news.
	Keep = 5 * time.Minute
)

// Table is what one AC has. Its methods may be called concurrently.
type Table struct {
	clock func() time.Time

	mu     sync.Mutex
	nodes  map[api.NodeID]api.NodeMetrics
	pruned time.Time
}

// New makes an empty Table.
func New(clock func() time.Time) *Table {
	return &Table{clock: clock, nodes: map[api.NodeID]api.NodeMetrics{}}
}

// Take keeps what a node measured. It does not block.
func (t *Table) Take(id api.NodeID, m api.Metrics) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	if _, had := t.nodes[id]; !had && len(t.nodes) >= Most && !t.prune(now) {
		return
	}
	t.nodes[id] = api.NodeMetrics{Node: id, Time: now.UTC(), Metrics: m.Shown()}
}

// prune makes room, at most once a second, and says whether there is some.
func (t *Table) prune(now time.Time) bool {
	if now.Sub(t.pruned).Abs() >= time.Second {
		t.pruned = now
		for id, m := range t.nodes {
			if !fresh(m, now) {
				delete(t.nodes, id)
			}
		}
	}
	return len(t.nodes) < Most
}

func fresh(m api.NodeMetrics, now time.Time) bool { return now.Sub(m.Time).Abs() < Keep }

// List returns what is news, by node.
func (t *Table) List() []api.NodeMetrics {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	list := make([]api.NodeMetrics, 0, len(t.nodes))
	for _, m := range t.nodes {
		if fresh(m, now) {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b api.NodeMetrics) int { return strings.Compare(string(a.Node), string(b.Node)) })
	return list
}
