package registry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/g8os/g8os/ac-mock/audit"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// refusalQueue bounds the refusals that wait to be written. Beyond it they are
// only logged: a claimant whose record ought to have changed asks again.
const refusalQueue = 1024

// writeWithin bounds one write of the background, for a store without quorum.
const writeWithin = 5 * time.Second

type refusal struct {
	q     request
	o     enrol.Outcome
	holds []store.Cond
}

// refuse does the same work for every refusal, whatever the reason: a decoy is
// opened, and the rest is left to the background, so that neither time nor size
// tells a pending node from an unknown one.
func (r *Registry) refuse(q request, o enrol.Outcome, holds []store.Cond) error {
	r.decoy.open()
	select {
	case r.refusals <- refusal{q: q, o: o, holds: holds}:
	default:
		r.o.Log.Warn("too many refusals to audit each", "peer", q.peer, "reason", o.Reason)
	}
	select {
	case r.more <- struct{}{}:
	default: // the background has been told already
	}
	return errRefused
}

func (w *writer) refusal(ctx context.Context, f refusal) {
	e := f.q.entry(f.o, audit.Refused, f.q.peer)
	ctx, cancel := w.within(ctx, writeWithin)
	defer cancel()
	w.o.Log.LogAttrs(ctx, slog.LevelInfo, "refused", slog.String("action", e.Action), slog.String("peer", e.Peer),
		slog.String("node", string(e.Node)), slog.String("reason", e.Reason), slog.String("detail", e.Detail))
	if f.o.Changed {
		err := w.commit(ctx, e, f.o, f.holds, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrConflict) {
			w.o.Log.Error("cannot write a refusal", "node", e.Node, "reason", e.Reason, "err", err)
			return
		}
		// The record went on meanwhile; what this one showed is still worth an entry.
	}
	if w.thin.Add(enrol.SourceOf(f.q.peer), e, f.q.now) {
		w.write(ctx, e)
	}
}

func (w *writer) write(ctx context.Context, e api.AuditEntry) {
	ctx, cancel := w.within(ctx, writeWithin)
	defer cancel()
	op, err := audit.Op(e, w.o.Rand)
	if err == nil {
		_, err = w.o.Store.Txn(ctx, store.Txn{Then: []store.Op{op}})
	}
	w.wrote() // maybe also when the answer was lost
	if err != nil {
		w.o.Log.Error("cannot write an audit entry", "action", e.Action, "node", e.Node, "reason", e.Reason, "err", err)
	}
}

func (w *writer) sumUp(ctx context.Context, all bool) {
	for _, e := range w.thin.Due(w.o.Clock(), all) {
		w.write(ctx, e)
	}
}

// drain writes the refusals that wait now.
func (w *writer) drain(ctx context.Context) {
	for range len(w.refusals) {
		w.refusal(ctx, <-w.refusals)
	}
}

// wrote has what was written into the audit tied to its chain, in a moment.
func (r *Registry) wrote() {
	if r.untied.Swap(true) {
		return
	}
	select {
	case r.more <- struct{}{}:
	default: // the background has been told already
	}
}

// link ties what waits to the audit's chain. What cannot be tied now waits on.
func (w *writer) link(ctx context.Context) {
	w.untied.Store(false)
	ctx, cancel := w.within(ctx, writeWithin)
	defer cancel()
	if _, err := audit.Link(ctx, w.o.Store); err != nil {
		w.o.Log.Warn("audit entries wait to be tied to the chain", "err", err)
	}
}

func (w *writer) prune(ctx context.Context) {
	ctx, cancel := w.within(ctx, time.Minute)
	defer cancel()
	if err := w.dropTokens(ctx); err != nil {
		w.o.Log.Warn("cannot forget join tokens that have expired", "err", err)
	}
	n, err := audit.Prune(ctx, w.o.Store, w.o.KeepAudit)
	switch {
	case err != nil:
		w.o.Log.Warn("cannot prune the audit", "err", err)
	case n > 0:
		w.o.Log.Info("audit pruned", "entries", n, "kept", w.o.KeepAudit)
	}
}
