package enrol

import (
	"fmt"

	"github.com/g8os/g8os/core/api"
)

// SetGrace says whether, and how far, a node may unlock without an AC. Errors wrap
// api.ErrGrace or ErrState.
func SetGrace(r Record, g api.Grace) (Record, error) {
	if err := g.Valid(); err != nil {
		return r, err
	}
	if r.State == api.NodeRetired {
		return r, fmt.Errorf("grace of node %s: %w: it is retired, and unlocks no more", r.ID, ErrState)
	}
	r = r.clone()
	r.Grace = g
	return r, nil
}
