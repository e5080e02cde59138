package enrol

import (
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Drain has a node begin no new job, or undoes that. What runs goes on.
func Drain(r Record, by string, drained bool, now time.Time) (Record, error) {
	if r.State == api.NodeRetired {
		return r, fmt.Errorf("drain node %s: %w: it is retired, and does nothing any more", r.ID, ErrState)
	}
	r = r.clone()
	switch {
	case !drained:
		r.Drained = nil
	case r.Drained == nil:
		r.Drained = &Shown{By: by, At: now.UTC()}
	}
	return r, nil
}
