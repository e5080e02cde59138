package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/ac-mock/audit"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/rotate"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// actRotate is the action of shares that are made to be rotated to.
const actRotate = "rotate"

// Fact is what rotations are decided on, of one node; the zero Fact for an
// unknown one. It costs no I/O.
func (r *Registry) Fact(id api.NodeID) rotate.Fact {
	r.book.mu.RLock()
	defer r.book.mu.RUnlock()
	e := r.book.nodes[id]
	if e == nil || e.modified == 0 {
		return rotate.Fact{}
	}
	name := e.record.Hostname
	if name == "" {
		name = string(id)
	}
	return rotate.Fact{
		Name: name, State: e.record.State, Confirmed: e.record.Confirmed, Generations: e.record.Generations,
		Issued: e.record.LastIssue, Certificate: e.record.Certificate != nil, Online: e.live.online,
	}
}

// Enrolled lists the nodes that are, by id.
func (r *Registry) Enrolled() (ids []api.NodeID) {
	r.book.mu.RLock()
	defer r.book.mu.RUnlock()
	for id, e := range r.book.nodes {
		if e.modified > 0 && e.record.State == api.NodeEnrolled {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b api.NodeID) int { return strings.Compare(string(a), string(b)) })
	return ids
}

// RotateShare makes the share that a node is to rotate to, and returns its
// generation; a share that waits for the node already is it. The recovery key
// stays: the node's recovery slot does. Errors wrap ErrState or ErrUnknown.
func (r *Registry) RotateShare(ctx context.Context, actor string, id api.NodeID) (uint32, error) {
	for n := range attempts {
		record, modified := r.book.get(id)
		holds := []store.Cond{{Key: keyRecord + string(id), Modified: modified}}
		if record == nil {
			record = &enrol.Record{ID: id}
		}
		o, target, err := enrol.Rotate(*record)
		switch {
		case modified == 0 && n > 0:
			err = fmt.Errorf("node %s: %w", id, ErrUnknown)
		case err == nil && o.Changed:
			err = r.makeBeside(ctx, actor, o, record.Confirmed, holds)
		case err != nil && n == 0:
			err = store.ErrConflict // another AC may know better
		}
		if !errors.Is(err, store.ErrConflict) {
			return target, err
		}
		if err := r.refresh(ctx, holds); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("rotate the share of node %s: %w: given up after %d attempts", id, store.ErrConflict, attempts)
}

// makeBeside writes a new share beside the one in use.
func (r *Registry) makeBeside(ctx context.Context, actor string, o enrol.Outcome, inUse uint32, holds []store.Cond) error {
	old, err := r.escrow(ctx, o.Record.ID, inUse)
	if err != nil {
		return fmt.Errorf("share of generation %d of node %s: %w", inUse, o.Record.ID, err)
	}
	made, err := newSecrets(r.o.Rand)
	if err != nil {
		return err
	}
	made.recovery = old.recovery
	op, err := r.sealed(o.Record.ID, o.Make, made)
	if err != nil {
		return err
	}
	q := request{action: actRotate, now: r.o.Clock()}
	return r.commit(ctx, q.entry(o, audit.Granted, actor), o, holds, []store.Op{op})
}
