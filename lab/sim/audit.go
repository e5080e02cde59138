package sim

import (
	"context"
	"fmt"

	"github.com/g8os/g8os/ac-mock/audit"
	"github.com/g8os/g8os/core/api"
)

// Audit is what the ACs have written down of a node's keys, oldest first, a
// line each: who asked for what, what was decided, and why.
func (w *World) Audit(name string) ([]string, error) {
	k, err := w.find(name)
	if err != nil {
		return nil, err
	}
	entries, err := audit.List(context.Background(), w.store, audit.Query{Node: api.NodeID(w.idOf(k.Name()))})
	if err != nil {
		return nil, fmt.Errorf("audit of %s: %w", name, err)
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s (%s) %s", e.Time.Sub(Epoch), e.Action, e.Decision, e.Reason, e.Peer, e.Detail))
	}
	return lines, nil
}
