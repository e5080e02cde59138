package enrol

import (
	"fmt"

	"github.com/g8os/g8os/core/api"
)

// ReasonRotated is why a share was made for a node that has one.
const ReasonRotated = "share to rotate to"

// Rotate gives a node a share to rotate to: a generation after the confirmed
// one. One that is there already, because an earlier rotation did not end, is
// it; then nothing is made. The old ones stay until the node says that it does
// not have them any more (Confirm). Errors wrap ErrState.
func Rotate(r Record) (o Outcome, target uint32, err error) {
	switch {
	case r.State != api.NodeEnrolled:
		return Outcome{}, 0, fmt.Errorf("rotate the share of node %s: %w: it is %s", r.ID, ErrState, r.State)
	case r.Confirmed == 0:
		return Outcome{}, 0, fmt.Errorf("rotate the share of node %s: %w: it has no volume in use yet", r.ID, ErrState)
	}
	r = r.clone()
	if n := len(r.Generations); n > 0 && r.Generations[n-1] > r.Confirmed {
		return Outcome{Record: r, Granted: true}, r.Generations[n-1], nil
	}
	r.Newest++
	r.Generations = append(r.Generations, r.Newest)
	return Outcome{
		Record: r, Granted: true, Changed: true, Make: r.Newest,
		Reason: ReasonRotated, Detail: fmt.Sprintf("generation %d beside %d", r.Newest, r.Confirmed),
	}, r.Newest, nil
}
