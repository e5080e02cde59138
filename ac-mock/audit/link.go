package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/g8os/g8os/ac-mock/audit/chain"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Each entry that is tied to the chain is two writes, each one that is pruned
// is one; the mark is one more.
const (
	linkedAtOnce = (store.MaxOps - 1) / 2
	prunedAtOnce = store.MaxOps - 1
)

// Link ties what waits to the chain, and says how many entries that were. The
// head is replaced only as it was read, so that of several ACs one does it; the
// others are told nothing, and find nothing to do next time.
func Link(ctx context.Context, s store.Store) (int, error) {
	head, modified, err := mark(ctx, s, keyHead, 0)
	if err != nil {
		return 0, err
	}
	// Read after the head: it holds all that is older than anything tied later.
	waiting, _, err := waits(ctx, s)
	if err != nil {
		return 0, fmt.Errorf("tie the audit: %w", err)
	}
	linked := 0
	for batch := range slices.Chunk(waiting, linkedAtOnce) {
		head, modified, err = link(ctx, s, head, modified, batch)
		switch {
		case errors.Is(err, store.ErrConflict):
			return linked, nil
		case err != nil:
			return linked, fmt.Errorf("tie the audit: %w", err)
		}
		linked += len(batch)
	}
	return linked, nil
}

func link(ctx context.Context, s store.Store, head api.AuditMark, modified int64, batch []store.KV) (api.AuditMark, int64, error) {
	t := store.Txn{If: []store.Cond{{Key: keyHead, Modified: modified}}}
	for _, kv := range batch {
		e, err := decode(kv)
		if err != nil { // nobody could read it later either, and what follows must not wait for it
			e = api.AuditEntry{Action: "audit", Decision: Refused, Reason: "entry cannot be read", Detail: api.Shown(kv.Key, 128)}
		}
		raw, next, err := chain.Append(head, e)
		if err != nil {
			return head, modified, err
		}
		t.Then = append(t.Then, store.Put(entryKey(next.Seq), raw), store.Delete(kv.Key))
		head = next
	}
	op, err := putMark(keyHead, head)
	if err != nil {
		return head, modified, err
	}
	t.Then = append(t.Then, op)
	modified, err = s.Txn(ctx, t)
	return head, modified, err
}

// Prune deletes the oldest entries of the chain beyond keep, and says how many.
// The anchor keeps the mark of the last one that went, so that what is left can
// still be verified.
func Prune(ctx context.Context, s store.Store, keep int) (int, error) {
	head, _, err := mark(ctx, s, keyHead, 0)
	if err != nil {
		return 0, err
	}
	pruned := 0
	for {
		anchor, modified, err := mark(ctx, s, keyAnchor, 0)
		if err != nil {
			return pruned, err
		}
		over := int(head.Seq) - int(anchor.Seq) - keep
		if over <= 0 {
			return pruned, nil
		}
		n, err := prune(ctx, s, anchor, modified, min(over, prunedAtOnce))
		if errors.Is(err, store.ErrConflict) { // another AC prunes
			return pruned, nil
		}
		if err != nil {
			return pruned, fmt.Errorf("prune the audit: %w", err)
		}
		pruned += n
	}
}

// prune deletes n entries after the anchor. What does not continue it is left
// where it is, to be found by who verifies.
func prune(ctx context.Context, s store.Store, anchor api.AuditMark, modified int64, n int) (int, error) {
	page, err := s.List(ctx, keyEntry, store.ListOptions{From: entryKey(anchor.Seq + 1), Limit: n})
	if err != nil {
		return 0, err
	}
	t := store.Txn{If: []store.Cond{{Key: keyAnchor, Modified: modified}}}
	for _, kv := range page.KVs {
		if anchor, _, err = chain.Next(anchor, kv.Value); err != nil {
			return 0, err
		}
		t.Then = append(t.Then, store.Delete(kv.Key))
	}
	if len(t.Then) < n {
		return 0, fmt.Errorf("%w: %d entries after %d, want %d", chain.ErrBroken, len(t.Then), anchor.Seq, n)
	}
	op, err := putMark(keyAnchor, anchor)
	if err != nil {
		return 0, err
	}
	t.Then = append(t.Then, op)
	_, err = s.Txn(ctx, t)
	return n, err
}

// pageOfChain is how many entries a Chain has at most.
const pageOfChain = 500

// Chain returns the entries after a number as they are stored, a page of them,
// with what they are to be verified against.
func Chain(ctx context.Context, s store.Store, after uint64) (c api.AuditChain, err error) {
	waiting, revision, err := waits(ctx, s)
	if err != nil {
		return c, fmt.Errorf("read the audit: %w", err)
	}
	c.Waiting, c.Entries = len(waiting), []json.RawMessage{}
	if c.Head, _, err = mark(ctx, s, keyHead, revision); err != nil {
		return c, err
	}
	if c.Anchor, _, err = mark(ctx, s, keyAnchor, revision); err != nil {
		return c, err
	}
	after = max(after, c.Anchor.Seq)
	page, err := s.List(ctx, keyEntry, store.ListOptions{From: entryKey(after + 1), Limit: pageOfChain, Revision: revision})
	if err != nil {
		return c, fmt.Errorf("read the audit: %w", err)
	}
	for _, kv := range page.KVs {
		raw := json.RawMessage(kv.Value)
		if !json.Valid(raw) { // told to who verifies, by what he cannot read
			raw = json.RawMessage(`"not JSON"`)
		}
		c.Entries = append(c.Entries, raw)
	}
	return c, nil
}
