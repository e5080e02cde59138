package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// SetGrace says whether a node may unlock without an AC; the zero Grace ends it.
// The node hears of it when it has a session. Errors wrap ErrUnknown, ErrState or
// ErrInput.
func (r *Registry) SetGrace(ctx context.Context, actor, ref string, g api.Grace) (api.Node, error) {
	n, err := r.operate(ctx, actor, "grace", ref, func(old enrol.Record) (change, error) {
		record, err := enrol.SetGrace(old, g)
		return change{record: record, same: old.Grace == g, detail: traded(g, old.TPM)}, err
	})
	if errors.Is(err, api.ErrGrace) {
		err = fmt.Errorf("%w: %w", ErrInput, err)
	}
	return n, err
}

// traded says in the audit what a grace costs.
func traded(g api.Grace, tpm bool) string {
	switch {
	case !g.On():
		return "off"
	case tpm:
		return g.String() + "; who steals the whole machine opens its volume within that"
	}
	return g.String() + "; no TPM: who steals the disk opens its volume within that, and a copy of the disk for ever"
}
