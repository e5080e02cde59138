package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/ac-mock/audit"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// change is what an operator's action does to a record.
type change struct {
	record enrol.Record
	drop   []uint32 // generations whose shares go
	revoke bool     // all certificates are void
	same   bool     // nothing to do: it is so already
	detail string
}

// Approve lets a pending node in, with the device key that it shows. Approving
// an enrolled one does nothing. Errors wrap ErrUnknown or ErrState.
func (r *Registry) Approve(ctx context.Context, actor, ref string) (api.Node, error) {
	n, err := r.operate(ctx, actor, "approve", ref, func(old enrol.Record) (change, error) {
		record, err := enrol.Approve(old)
		return change{record: record, same: old.State == record.State, detail: "fingerprint " + api.Fingerprint(old.Device)}, err
	})
	if err == nil {
		r.mu.Lock()
		r.limit.Release(string(n.ID))
		r.mu.Unlock()
	}
	return n, err
}

// Retire ends a node: its shares are deleted, its certificates revoked, and its
// device key never comes back. The store keeps deleted values in its history
// for some minutes, sealed as they are.
func (r *Registry) Retire(ctx context.Context, actor, ref string) (api.Node, error) {
	return r.operate(ctx, actor, "retire", ref, func(old enrol.Record) (change, error) {
		record, drop := enrol.Retire(old)
		return change{
			record: record, drop: drop, revoke: true, same: old.State == record.State,
			detail: fmt.Sprintf("shares of generations %v deleted", drop),
		}, nil
	})
}

// Suspect sends a node to pending that seems to be alive twice, until Approve.
func (r *Registry) Suspect(ctx context.Context, actor, ref, why string) (api.Node, error) {
	return r.operate(ctx, actor, "suspect", ref, func(old enrol.Record) (change, error) {
		record := enrol.Suspect(old, why)
		return change{record: record, same: old.State == record.State, detail: why}, nil
	})
}

// Quarantine shuts a node out until Release; nothing of it is deleted.
func (r *Registry) Quarantine(ctx context.Context, actor, ref, why string) (api.Node, error) {
	return r.operate(ctx, actor, "quarantine", ref, func(old enrol.Record) (change, error) {
		record, err := enrol.Quarantine(old, why)
		return change{record: record, same: old.State == record.State, detail: why}, err
	})
}

// Release takes a node out of quarantine, into the state it had before.
func (r *Registry) Release(ctx context.Context, actor, ref string) (api.Node, error) {
	return r.operate(ctx, actor, "release", ref, func(old enrol.Record) (change, error) {
		record, err := enrol.Release(old)
		return change{record: record, detail: "now " + string(record.State)}, err
	})
}

// Revoke makes void all certificates that a node has been issued so far. An
// enrolled node heals itself with a new one.
func (r *Registry) Revoke(ctx context.Context, actor, ref string) (api.Node, error) {
	return r.operate(ctx, actor, "revoke", ref, func(old enrol.Record) (change, error) {
		return change{record: old, revoke: true, same: old.Certificate == nil}, nil
	})
}

// operate changes one record as an operator says, with its audit entry.
func (r *Registry) operate(ctx context.Context, actor, action, ref string, decide func(enrol.Record) (change, error)) (api.Node, error) {
	for range attempts {
		id, err := r.book.resolve(ref)
		if err != nil {
			return api.Node{}, err
		}
		record, modified := r.book.get(id)
		if record == nil {
			return api.Node{}, fmt.Errorf("node %s: %w", ref, ErrUnknown)
		}
		c, err := decide(*record)
		if err != nil || c.same {
			return r.book.viewOne(id), err
		}
		holds := []store.Cond{{Key: keyRecord + string(id), Modified: modified}}
		err = r.carryOut(ctx, actor, action, id, c, holds)
		if !errors.Is(err, store.ErrConflict) {
			return r.book.viewOne(id), err
		}
		if err := r.refresh(ctx, holds); err != nil {
			return api.Node{}, err
		}
	}
	return api.Node{}, fmt.Errorf("%s of node %s: %w: given up after %d attempts", action, ref, store.ErrConflict, attempts)
}

func (r *Registry) carryOut(ctx context.Context, actor, action string, id api.NodeID, c change, holds []store.Cond) error {
	o := enrol.Outcome{Record: c.record, Drop: c.drop}
	var extra []store.Op
	if c.revoke {
		denial, at := r.o.CA.DenyNode(id, c.record.LastIssue)
		extra = append(extra, denial)
		o.Record.Certificate, o.Record.LastIssue = nil, at
	}
	entry := api.AuditEntry{
		Time: r.o.Clock(), Actor: actor, Action: action, Node: id, Decision: audit.Granted, Reason: "operator's decision", Detail: c.detail,
	}
	if err := r.commit(ctx, entry, o, holds, extra); err != nil {
		return err
	}
	r.o.Log.Info("operator's decision", "action", action, "node", id, "actor", actor)
	if !c.revoke {
		return nil
	}
	return r.o.CA.Sync(ctx)
}

// Recovery returns the key of the operator's slot of a node's volume. It is
// shown once, or again if that is said; that it was, and to whom, is in the
// record and in the audit before it leaves. Errors wrap ErrUnknown or ErrState.
func (r *Registry) Recovery(ctx context.Context, actor, ref string, again bool) (api.Recovery, error) {
	var key api.Secret
	n, err := r.operate(ctx, actor, "recovery", ref, func(old enrol.Record) (change, error) {
		record, err := enrol.Recover(old, actor, again, r.o.Clock())
		if err != nil {
			return change{}, err
		}
		s, err := r.escrow(ctx, old.ID, old.Confirmed)
		if err != nil {
			return change{}, fmt.Errorf("recovery key of node %s: %w", old.ID, err)
		}
		key = s.recovery
		detail := fmt.Sprintf("generation %d", old.Confirmed)
		if old.Recovered != nil {
			detail += ", shown before at " + old.Recovered.At.Format(time.RFC3339) + " to " + old.Recovered.By
		}
		return change{record: record, detail: detail}, nil
	})
	if err != nil {
		return api.Recovery{}, err
	}
	return api.Recovery{NodeID: n.ID, Name: n.Name, Key: key}, nil
}

// Note audits what an operator does that changes no record, such as a command
// run on a node (empty: on none). It is durable when Note returns.
func (r *Registry) Note(ctx context.Context, actor, action string, node api.NodeID, detail string) error {
	return r.note(ctx, api.AuditEntry{Actor: actor, Action: action, Node: node, Detail: api.Shown(detail, maxDetail)})
}

// Entry is the write that audits an operator's deed, as Note does, for a
// transaction of somebody else's, who calls Noted when it was carried out.
func (r *Registry) Entry(actor, action string, node api.NodeID, detail string) (store.Op, error) {
	return audit.Op(api.AuditEntry{
		Time: r.o.Clock(), Actor: actor, Action: action, Node: node, Decision: audit.Granted, Reason: "operator's decision", Detail: api.Shown(detail, maxDetail),
	}, r.o.Rand)
}

// Noted tells that an Entry was written: it is to be tied to the audit's chain.
func (r *Registry) Noted() { r.wrote() }

// note writes an entry about something that changes no record.
func (r *Registry) note(ctx context.Context, e api.AuditEntry) error {
	return r.noted(ctx, e, store.Txn{})
}

// noted writes something together with its entry.
func (r *Registry) noted(ctx context.Context, e api.AuditEntry, t store.Txn) error {
	e.Time, e.Decision, e.Reason = r.o.Clock(), audit.Granted, "operator's decision"
	op, err := audit.Op(e, r.o.Rand)
	if err != nil {
		return err
	}
	t.Then = append(t.Then, op)
	if _, err := r.o.Store.Txn(ctx, t); err != nil {
		return fmt.Errorf("audit of %s: %w", e.Action, err)
	}
	r.wrote()
	return nil
}
