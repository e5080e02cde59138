package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/g8os/g8os/ac-mock/audit"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// commit writes an outcome, what follows from it and its audit entry at once,
// and then into the book.
func (r *Registry) commit(ctx context.Context, e api.AuditEntry, o enrol.Outcome, holds []store.Cond, extra []store.Op) error {
	value, err := json.Marshal(o.Record)
	if err != nil {
		return fmt.Errorf("encode the record of node %s: %w", o.Record.ID, err)
	}
	entry, err := audit.Op(e, r.o.Rand)
	if err != nil {
		return err
	}
	ops, more := r.book.pointers(o.Record)
	ops = append(ops, store.Put(keyRecord+string(o.Record.ID), value))
	known := len(ops)
	for _, g := range o.Drop {
		ops = append(ops, store.Delete(escrowKey(o.Record.ID, g)))
	}
	ops = append(append(ops, extra...), entry)
	holds = append(holds[:len(holds):len(holds)], more...)
	// A record that no condition speaks of is a new one: it must not be there.
	holds = distinct(append(holds, store.Cond{Key: keyRecord + string(o.Record.ID)}))
	revision, err := r.o.Store.Txn(ctx, store.Txn{If: holds, Then: ops})
	if err != nil {
		return err
	}
	r.wrote()
	for _, op := range ops[:known] {
		if err := r.book.apply(store.KV{Key: op.Key, Value: op.Value, Modified: revision}); err != nil {
			return err
		}
	}
	return nil
}

// distinct keeps the first condition on each key.
func distinct(holds []store.Cond) []store.Cond {
	seen := map[string]bool{}
	kept := holds[:0:0]
	for _, c := range holds {
		if !seen[c.Key] {
			seen[c.Key] = true
			kept = append(kept, c)
		}
	}
	return kept
}
