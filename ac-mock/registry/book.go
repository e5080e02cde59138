package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Keys in the store.
const (
	prefix    = "node/"
	keyRecord = prefix + "record/"
	keyMAC    = prefix + "mac/"
	keyDevice = prefix + "key/"
	keySeen   = prefix + "seen/"
)

func deviceKey(device []byte) string { return fmt.Sprintf("%x", sha256.Sum256(device)) }

// book is the registry's memory of the store: every record, and the indices,
// each with the revision that wrote it. A decision made on it is written on the
// condition that those revisions still hold.
type book struct {
	mu       sync.RWMutex
	nodes    map[api.NodeID]*entry
	macs     map[string]pointer
	keys     map[string]pointer
	pending  int
	watchers map[chan struct{}]struct{}
	revoke   func(api.NodeID)
	resettle func(api.NodeID)  // its Settings have changed
	own      string            // name of this AC
	alive    func(string) bool // whether another AC is there
}

type entry struct {
	record   enrol.Record
	modified int64
	live     presence
}

// pointer is an index entry: a MAC's, or a device key's.
type pointer struct {
	id       api.NodeID
	modified int64
}

// presence is where a node is.
type presence struct {
	Where  api.Whereabouts `json:"where"`
	Seen   time.Time       `json:"seen"`
	At     string          `json:"at,omitempty"` // the AC that it has a session with
	online bool            // that AC is this one
	moved  bool            // Where or At differ from what is in the store
	fresh  bool            // only Seen does
}

func newBook(revoke func(api.NodeID)) *book {
	return &book{
		nodes: map[api.NodeID]*entry{}, macs: map[string]pointer{}, keys: map[string]pointer{},
		watchers: map[chan struct{}]struct{}{}, revoke: revoke, resettle: func(api.NodeID) {},
	}
}

// apply takes one key as it is in the store. Older news than what is known is
// ignored, so the order between a watch and one's own writes does not matter.
func (b *book) apply(kv store.KV) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	kind, name, _ := strings.Cut(strings.TrimPrefix(kv.Key, prefix), "/")
	switch prefix + kind + "/" {
	case keyRecord:
		return b.applyRecord(api.NodeID(name), kv)
	case keyMAC:
		applyPointer(b.macs, name, kv)
	case keyDevice:
		applyPointer(b.keys, name, kv)
	case keySeen:
		return b.applySeen(api.NodeID(name), kv)
	}
	return nil
}

func applyPointer(index map[string]pointer, name string, kv store.KV) {
	if kv.Modified > index[name].modified {
		index[name] = pointer{id: api.NodeID(kv.Value), modified: kv.Modified}
	}
}

func (b *book) applyRecord(id api.NodeID, kv store.KV) error {
	e := b.entry(id)
	if kv.Modified <= e.modified {
		return nil
	}
	var record enrol.Record
	if err := json.Unmarshal(kv.Value, &record); err != nil {
		return fmt.Errorf("record of node %s in the store: %w", id, err)
	}
	old := e.record
	e.record, e.modified = record, kv.Modified
	b.pending += count(record) - count(old)
	if lost(old, record) {
		b.revoke(id)
	}
	if old.Allowed() != record.Allowed() {
		b.resettle(id)
	}
	b.changed()
	return nil
}

// lost says whether a node has lost the right to its session.
func lost(old, now enrol.Record) bool {
	return old.State == api.NodeEnrolled && (now.State != api.NodeEnrolled || old.Certificate != nil && now.Certificate == nil)
}

func count(r enrol.Record) int {
	if r.State == api.NodePending {
		return 1
	}
	return 0
}

// applySeen takes what an AC wrote back; what this one knows itself is newer
// or as good.
func (b *book) applySeen(id api.NodeID, kv store.KV) error {
	var p presence
	if err := json.Unmarshal(kv.Value, &p); err != nil {
		return fmt.Errorf("whereabouts of node %s in the store: %w", id, err)
	}
	switch e := b.entry(id); {
	case e.live.online && p.At == "":
		e.live.moved = true // an AC that it has left noticed later than it came here
	case e.live.online && p.At == b.own:
	case p.Seen.After(e.live.Seen): // also when it has a session here: that one is left over
		e.live = p
		b.changed()
	}
	return nil
}

func (b *book) entry(id api.NodeID) *entry {
	e := b.nodes[id]
	if e == nil {
		e = &entry{}
		b.nodes[id] = e
	}
	return e
}

// known collects what a claim touches, and under which conditions it holds.
func (b *book) known(macs []string, device []byte) (k enrol.Known, holds []store.Cond) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	k.Nodes, k.Pending = len(b.nodes), b.pending
	ids := map[api.NodeID]bool{}
	add := func(id api.NodeID) enrol.Record {
		e := b.nodes[id]
		if e == nil {
			e = &entry{} // an index ahead of its record: the condition will fail, and be read again
		}
		if !ids[id] {
			ids[id] = true
			holds = append(holds, store.Cond{Key: keyRecord + string(id), Modified: e.modified})
		}
		return e.record
	}
	for _, m := range macs {
		p := b.macs[m]
		holds = append(holds, store.Cond{Key: keyMAC + m, Modified: p.modified})
		if p.id != "" && !ids[p.id] {
			k.ByMAC = append(k.ByMAC, add(p.id))
		}
	}
	slices.SortFunc(k.ByMAC, func(x, y enrol.Record) int { return strings.Compare(string(x.ID), string(y.ID)) })
	name := deviceKey(device)
	p := b.keys[name]
	holds = append(holds, store.Cond{Key: keyDevice + name, Modified: p.modified})
	if p.id != "" {
		record := add(p.id)
		k.ByKey = &record
	}
	return k, holds
}

// get returns a record and the revision it is of; nil when there is none.
func (b *book) get(id api.NodeID) (*enrol.Record, int64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.nodes[id]
	if e == nil || e.modified == 0 {
		return nil, 0
	}
	record := e.record
	return &record, e.modified
}

// owner is the node that a device key belongs to; empty when there is none.
func (b *book) owner(device []byte) api.NodeID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.keys[deviceKey(device)].id
}

// pointers returns the writes that make a record's MACs and device key point
// to it, as far as they do not yet, on the condition that nobody else made them
// point elsewhere.
func (b *book) pointers(r enrol.Record) (ops []store.Op, holds []store.Cond) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	point := func(key string, p pointer) {
		if p.id != r.ID {
			ops = append(ops, store.Put(key, []byte(r.ID)))
			holds = append(holds, store.Cond{Key: key, Modified: p.modified})
		}
	}
	for _, m := range r.MACs {
		point(keyMAC+m, b.macs[m])
	}
	name := deviceKey(r.Device)
	point(keyDevice+name, b.keys[name])
	return ops, holds
}

// watch registers a channel for changes until ctx ends.
func (b *book) watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	b.watchers[c] = struct{}{}
	b.mu.Unlock()
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, c)
		close(c)
	})
	return c
}

// changed tells the watchers; b.mu is held.
func (b *book) changed() {
	for c := range b.watchers {
		select {
		case c <- struct{}{}:
		default: // it has one to read already
		}
	}
}
