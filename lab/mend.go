package lab

import (
	"context"
	"fmt"
	"slices"

	"github.com/g8os/g8os/lab/fabric"
)

// Mend takes cuts away again, each as often as it is there, and leaves the
// others. It returns once the switch has confirmed.
func (s *Segment) Mend(ctx context.Context, cuts ...Cut) error {
	return s.changeRules(ctx, "heal", fmt.Sprintf("cuts %v taken away", cuts), func(r *fabric.Rules) {
		r.Cuts = slices.DeleteFunc(slices.Clone(r.Cuts), func(c Cut) bool { return slices.Contains(cuts, c) })
	})
}
