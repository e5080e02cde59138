// Package audit keeps what an AC decided about keys, certificates and nodes.
//
//	decision ──▶ audit/TIME-RANDOM     in the decision's own transaction: it waits
//	                  │ Link, within a second or so, in the store's order
//	                  ▼
//	             chain/entry/NUMBER ──▶ chain/head       holds the hash of the one before
//	                  │ Prune
//	                  ▼
//	             chain/anchor                            the mark of the last one that went
//
// It promises that an entry can be written in the same transaction as the
// decision itself, so that no key leaves before its entry is durable; that
// entries have one order over all ACs, which is the store's, and consecutive
// numbers in it, whichever AC ties them to the chain; that what is changed,
// dropped or added in the chain is found (package chain), also after it was
// pruned; and that a flood of refusals costs a bounded number of entries
// (Coalescer). An entry that waits is not protected yet: to tie it in the
// decision's transaction would put all decisions of a grid into one row. It is
// not a log of what happened on the wire, and it forgets the oldest entries
// beyond a number.
package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Decisions.
const (
	Granted = "granted"
	Refused = "refused"
)

// Keys in the store.
const (
	prefix    = "audit/" // what waits
	keyEntry  = "chain/entry/"
	keyHead   = "chain/head"
	keyAnchor = "chain/anchor"
)

func entryKey(seq uint64) string { return fmt.Sprintf("%s%019d", keyEntry, seq) }

// Op returns the write that records an entry. The key begins with the time,
// so that a listing is about in order, and ends in six random bytes, so that
// no two are the same.
func Op(e api.AuditEntry, random io.Reader) (store.Op, error) {
	e.Seq, e.Prev, e.Time = 0, "", e.Time.UTC()
	value, err := json.Marshal(e)
	if err != nil {
		return store.Op{}, fmt.Errorf("encode an audit entry: %w", err)
	}
	var unique [6]byte
	if _, err := io.ReadFull(random, unique[:]); err != nil {
		return store.Op{}, fmt.Errorf("name an audit entry: %w", err)
	}
	return store.Put(fmt.Sprintf("%s%019d-%x", prefix, e.Time.UnixNano(), unique), value), nil
}

// Query chooses entries.
type Query struct {
	Node  api.NodeID // only about this one; empty: all
	After uint64     // only later ones than this number
	Limit int        // at most so many of the newest; 0: all
}

// List returns entries, oldest first. What is not tied to the chain yet comes
// last, with the numbers that it will have.
func List(ctx context.Context, s store.Store, q Query) ([]api.AuditEntry, error) {
	waiting, revision, err := waits(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	head, _, err := mark(ctx, s, keyHead, revision)
	if err != nil {
		return nil, err
	}
	entries, from := []api.AuditEntry{}, q.After+1
	take := func(e api.AuditEntry) {
		if e.Seq < from || q.Node != "" && e.Node != q.Node {
			return
		}
		if entries = append(entries, e); q.Limit > 0 && len(entries) >= 2*q.Limit {
			entries = newest(entries, q.Limit)
		}
	}
	if total := head.Seq + uint64(len(waiting)); q.Node == "" && q.Limit > 0 && total > uint64(q.Limit) {
		from = max(from, total-uint64(q.Limit)+1)
	}
	if err := each(ctx, s, from, revision, take); err != nil {
		return nil, err
	}
	for i, kv := range waiting {
		e, err := decode(kv)
		if err != nil {
			return nil, err
		}
		e.Seq = head.Seq + uint64(i) + 1
		take(e)
	}
	return newest(entries, q.Limit), nil
}

// each hands on the entries of the chain from a number on, as of a revision.
func each(ctx context.Context, s store.Store, from uint64, revision int64, do func(api.AuditEntry)) error {
	o := store.ListOptions{From: entryKey(from), Revision: revision}
	for {
		page, err := s.List(ctx, keyEntry, o)
		if err != nil {
			return fmt.Errorf("read the audit: %w", err)
		}
		for _, kv := range page.KVs {
			e, err := decode(kv)
			if err != nil {
				return err
			}
			do(e)
		}
		if page.Next == "" {
			return nil
		}
		o.From = page.Next
	}
}

func decode(kv store.KV) (e api.AuditEntry, err error) {
	if err := json.Unmarshal(kv.Value, &e); err != nil {
		return e, fmt.Errorf("audit entry %s: %w", kv.Key, err)
	}
	return e, nil
}

func newest(entries []api.AuditEntry, limit int) []api.AuditEntry {
	if over := len(entries) - limit; limit > 0 && over > 0 {
		return slices.Delete(entries, 0, over)
	}
	return entries
}

// waits returns what is not tied to the chain yet, in the order in which it
// was written, and the revision as of which that is all.
func waits(ctx context.Context, s store.Store) (kvs []store.KV, revision int64, err error) {
	revision, err = store.Each(ctx, s, prefix, func(kv store.KV) error {
		kvs = append(kvs, kv)
		return nil
	})
	// Two of one revision are ordered by key, on every AC alike.
	slices.SortStableFunc(kvs, func(a, b store.KV) int { return cmp.Compare(a.Created, b.Created) })
	return kvs, revision, err
}

// mark reads the head or the anchor, as of a revision (0: now), and says which
// revision wrote it; both are zero before there is one.
func mark(ctx context.Context, s store.Store, key string, revision int64) (m api.AuditMark, modified int64, err error) {
	page, err := s.List(ctx, key, store.ListOptions{Revision: revision, Limit: 1})
	if err != nil {
		return m, 0, fmt.Errorf("read the audit: %w", err)
	}
	if len(page.KVs) == 0 {
		return m, 0, nil
	}
	if err := json.Unmarshal(page.KVs[0].Value, &m); err != nil {
		return m, 0, fmt.Errorf("audit: %s: %w", key, err)
	}
	return m, page.KVs[0].Modified, nil
}

func putMark(key string, m api.AuditMark) (store.Op, error) {
	value, err := json.Marshal(m)
	if err != nil {
		return store.Op{}, fmt.Errorf("audit: %s: %w", key, err)
	}
	return store.Put(key, value), nil
}

// Window is for how long equal refusals are counted before one entry sums
// them up.
const Window = time.Minute
