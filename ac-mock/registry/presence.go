package registry

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// managed is the phase in which a node has a session.
const managed = "managed"

// Seen notes where a node is, and whether it has a session. It costs no I/O:
// it is written back later, many at a time.
func (r *Registry) Seen(id api.NodeID, w api.Whereabouts, online bool) {
	if !online && r.book.elsewhere(id) {
		return // the end of a session that it has left
	}
	r.book.seen(id, w, online, r.o.Clock())
}

// noteClaim notes where a node is that asks to be unlocked, if it is that node.
func (r *Registry) noteClaim(q request, o enrol.Outcome, c api.Claim) {
	if o.Record.ID != "" && string(o.Record.Device) == string(q.device) {
		r.book.seen(o.Record.ID, c.Where, false, q.now)
	}
}

// elsewhere says whether a node has its session with another AC.
func (b *book) elsewhere(id api.NodeID) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.nodes[id]
	return e != nil && !e.live.online && e.live.At != "" && e.live.At != b.own
}

func (b *book) seen(id api.NodeID, w api.Whereabouts, online bool, now time.Time) {
	w = w.Shown()
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.nodes[id]
	if e == nil {
		return // a node that is refused before it has a record
	}
	p := &e.live
	if p.Where != w || p.online != online {
		p.Where, p.online, p.moved = w, online, true
		if p.At = ""; online {
			p.At = b.own
		}
		b.changed()
	}
	p.Seen, p.fresh = now.UTC(), true
}

// toWriteBack lists the whereabouts that the store does not have: those that
// changed, or also those that are only newer, by node. They count as written.
func (b *book) toWriteBack(all bool) (ops []store.Op) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, e := range b.nodes {
		if !e.live.moved && !(all && e.live.fresh) {
			continue
		}
		value, err := json.Marshal(e.live)
		if err != nil {
			continue // a time and four strings
		}
		e.live.moved, e.live.fresh = false, false
		ops = append(ops, store.Put(keySeen+string(id), value))
	}
	slices.SortFunc(ops, func(x, y store.Op) int { return strings.Compare(x.Key, y.Key) })
	return ops
}

func (w *writer) writeBack(ctx context.Context, all bool) {
	ctx, cancel := w.within(ctx, writeWithin)
	defer cancel()
	for ops := range slices.Chunk(w.book.toWriteBack(all), store.MaxOps) {
		if _, err := w.o.Store.Txn(ctx, store.Txn{Then: ops}); err != nil {
			w.o.Log.Warn("cannot write back where nodes are", "nodes", len(ops), "err", err)
			w.book.again(ops)
		}
	}
}

// again marks whereabouts that could not be written.
func (b *book) again(ops []store.Op) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, op := range ops {
		if e := b.nodes[api.NodeID(op.Key[len(keySeen):])]; e != nil {
			e.live.moved = true
		}
	}
}
