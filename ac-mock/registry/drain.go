package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// ErrDrained is wrapped when a node takes no new jobs because an operator has
// said so.
var ErrDrained = errors.New("the node is drained")

// Drain has a node begin no new job until Undrain. Errors wrap ErrUnknown or
// ErrState.
func (r *Registry) Drain(ctx context.Context, actor, ref string) (api.Node, error) {
	return r.drain(ctx, actor, "drain", ref, true)
}

// Undrain undoes Drain.
func (r *Registry) Undrain(ctx context.Context, actor, ref string) (api.Node, error) {
	return r.drain(ctx, actor, "undrain", ref, false)
}

func (r *Registry) drain(ctx context.Context, actor, action, ref string, drained bool) (api.Node, error) {
	return r.operate(ctx, actor, action, ref, func(old enrol.Record) (change, error) {
		record, err := enrol.Drain(old, actor, drained, r.o.Clock())
		return change{record: record, same: (old.Drained != nil) == drained}, err
	})
}

// TakesJobs says why no new job may be begun on a node: it wraps ErrDrained.
// What is for the machine itself (builtins) is begun all the same. It costs no
// I/O, and knows what this AC knows.
func (r *Registry) TakesJobs(id api.NodeID) error {
	r.book.mu.RLock()
	defer r.book.mu.RUnlock()
	e := r.book.nodes[id]
	if e == nil || e.record.Drained == nil {
		return nil
	}
	d := e.record.Drained
	return fmt.Errorf("%w since %s by %s", ErrDrained, d.At.Format("2006-01-02 15:04:05 UTC"), d.By)
}
