// Package audit keeps what an AC decided about keys, certificates and nodes.
//
// It promises that an entry can be written in the same transaction as the
// decision itself, so that no key leaves before its entry is durable; that
// entries have a total order (Seq, the store's revision) over all ACs; and that
// a flood of refusals costs a bounded number of entries (Coalescer). It is not
// a log of what happened on the wire, and it forgets the oldest entries beyond
// a number.
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

const prefix = "audit/"

// Op returns the write that records an entry. The key begins with the time,
// so that a listing is about in order, and ends in six random bytes, so that
// no two are the same; Seq comes from the store.
func Op(e api.AuditEntry, random io.Reader) (store.Op, error) {
	e.Seq, e.Time = 0, e.Time.UTC()
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

func decode(kv store.KV) (e api.AuditEntry, err error) {
	if err := json.Unmarshal(kv.Value, &e); err != nil {
		return e, fmt.Errorf("audit entry %s: %w", kv.Key, err)
	}
	e.Seq = uint64(kv.Created)
	return e, nil
}

// List returns entries in order, those of one node or (empty) of all; at most
// limit of the newest, 0 for all.
func List(ctx context.Context, s store.Store, node api.NodeID, limit int) ([]api.AuditEntry, error) {
	entries := []api.AuditEntry{}
	_, err := store.Each(ctx, s, prefix, func(kv store.KV) error {
		e, err := decode(kv)
		if err != nil || node != "" && e.Node != node {
			return err
		}
		entries = append(entries, e)
		if limit > 0 && len(entries) >= 2*limit {
			entries = newest(entries, limit)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	return newest(entries, limit), nil
}

// newest orders entries by the store's order, and keeps the last ones.
func newest(entries []api.AuditEntry, limit int) []api.AuditEntry {
	slices.SortFunc(entries, func(a, b api.AuditEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	if over := len(entries) - limit; limit > 0 && over > 0 {
		return slices.Delete(entries, 0, over)
	}
	return entries
}

// Follow delivers entries as they are written, after entry seq (0: from now
// on). The channel is closed when ctx ends or the store no longer has them.
func Follow(ctx context.Context, s store.Store, seq uint64) <-chan api.AuditEntry {
	from := int64(seq)
	if from > 0 {
		from++
	}
	out, in := make(chan api.AuditEntry), s.Watch(ctx, prefix, from)
	go func() {
		defer close(out)
		for b := range in {
			for _, event := range b.Events {
				e, err := decode(event.KV)
				if event.Deleted || err != nil {
					continue
				}
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}

// Prune deletes the oldest entries beyond keep, and says how many.
func Prune(ctx context.Context, s store.Store, keep int) (int, error) {
	var keys []string
	o := store.ListOptions{KeysOnly: true}
	for {
		page, err := s.List(ctx, prefix, o)
		if err != nil {
			return 0, fmt.Errorf("prune the audit: %w", err)
		}
		for _, kv := range page.KVs {
			keys = append(keys, kv.Key)
		}
		if page.Next == "" {
			break
		}
		o.From, o.Revision = page.Next, page.Revision
	}
	keys = keys[:max(0, len(keys)-keep)]
	for batch := range slices.Chunk(keys, store.MaxOps) {
		var t store.Txn
		for _, k := range batch {
			t.Then = append(t.Then, store.Delete(k))
		}
		if _, err := s.Txn(ctx, t); err != nil {
			return 0, fmt.Errorf("prune the audit: %w", err)
		}
	}
	return len(keys), nil
}

// Window is for how long equal refusals are counted before one entry sums
// them up.
const Window = time.Minute
