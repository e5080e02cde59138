package events

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/ac-mock/events/intake"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Bounds of what is kept.
const (
	// Most is how many events are kept of all nodes. Beyond it the node that has
	// most loses its oldest.
	Most = 10_000
	// PerNode is how many are kept of one node.
	PerNode = 1000
)

const prefix = "events/"

// keyOf names an event. One that a node sends again has the same key; a node
// that has lost its disk and begins to count anew has others, by their time.
func keyOf(x intake.Item) string {
	return fmt.Sprintf("%s%s/%016x-%016x", prefix, x.Node, x.Event.Seq, uint64(x.Event.Time.UnixNano()))
}

// kept is an event as it is in the store.
type kept struct {
	key     string
	created int64 // the store's revision that has it: the order in which ACs had events
	event   api.NodeEvent
}

// cursor is a place in the order of all events.
type cursor struct {
	created int64
	key     string
}

func (k *kept) at() cursor { return cursor{k.created, k.key} }

func (c cursor) compare(d cursor) int {
	return cmp.Or(cmp.Compare(c.created, d.created), cmp.Compare(c.key, d.key))
}

func (c cursor) String() string {
	return fmt.Sprintf("%d.%s", c.created, strings.TrimPrefix(c.key, prefix))
}

// parseCursor reads what String wrote. Empty is the beginning.
func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	number, key, _ := strings.Cut(text, ".")
	if _, err := fmt.Sscanf(number, "%d", &c.created); err != nil || c.created < 0 || key == "" {
		return c, fmt.Errorf("cursor %.80q is none that came with an event", text)
	}
	c.key = prefix + key
	return c, nil
}

// ring is what an AC knows of the events in the store.
type ring struct {
	order  []*kept // by at
	byKey  map[string]*kept
	byNode map[api.NodeID]int
}

func newRing() *ring { return &ring{byKey: map[string]*kept{}, byNode: map[api.NodeID]int{}} }

// apply takes a key of the store as it is now.
func (r *ring) apply(kv store.KV, deleted bool) error {
	had := r.byKey[kv.Key]
	if deleted {
		if had != nil {
			at, _ := r.find(had.at())
			r.order = slices.Delete(r.order, at, at+1)
			delete(r.byKey, kv.Key)
			r.count(had.event.Node, -1)
		}
		return nil
	}
	var e api.NodeEvent
	if err := json.Unmarshal(kv.Value, &e); err != nil {
		return fmt.Errorf("event %s: %w", kv.Key, err)
	}
	if had != nil {
		had.event = e
		return nil
	}
	k := &kept{kv.Key, kv.Created, e}
	at, _ := r.find(k.at())
	r.order = slices.Insert(r.order, at, k)
	r.byKey[kv.Key] = k
	r.count(e.Node, 1)
	return nil
}

func (r *ring) count(id api.NodeID, by int) {
	if r.byNode[id] += by; r.byNode[id] == 0 {
		delete(r.byNode, id)
	}
}

// find is where a cursor is or would be.
func (r *ring) find(c cursor) (int, bool) {
	return slices.BinarySearchFunc(r.order, c, func(k *kept, c cursor) int { return k.at().compare(c) })
}

// leaves says which keys have to go, and in which order, for a batch to come.
func (r *ring) leaves(batch []intake.Item) (keys []string) {
	count, total := map[api.NodeID]int{}, len(r.order)
	for id, n := range r.byNode {
		count[id] = n
	}
	gone := map[string]bool{}
	drop := func(id api.NodeID) {
		at := slices.IndexFunc(r.order, func(k *kept) bool { return k.event.Node == id && !gone[k.key] })
		if at >= 0 {
			keys, gone[r.order[at].key] = append(keys, r.order[at].key), true
		}
		count[id]--
		total--
	}
	for _, x := range batch {
		if r.byKey[keyOf(x)] == nil {
			count[x.Node]++
			total++
		}
		if count[x.Node] > PerNode {
			drop(x.Node)
		}
	}
	for total > Most && len(keys) < 2*len(batch) {
		drop(biggest(count))
	}
	return keys
}

func biggest(count map[api.NodeID]int) (id api.NodeID) {
	for n, c := range count {
		if c > count[id] || c == count[id] && n < id {
			id = n
		}
	}
	return id
}
