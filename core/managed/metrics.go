package managed

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/g8os/g8os/core/api"
)

// measure sends what the node measured last: at once, and then every
// api.MetricsEvery, at a moment of this session's own, so that the nodes of a
// grid that came together do not send together.
func (s *Session) measure(ctx context.Context) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for next := rand.N(api.MetricsEvery); ; next = api.MetricsEvery {
		select {
		case <-ctx.Done():
			return context.Canceled
		case <-wait.C:
		}
		if m := s.opt.Metrics(); m != nil {
			if err := s.write(ctx, api.Frame{Type: api.FrameMetrics, Metrics: m}); err != nil {
				return err
			}
		}
		wait.Reset(next)
	}
}
