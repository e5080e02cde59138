package server

import (
	"context"
	"time"
)

// An AC that is drained sends its nodes to the others, some at a time: all at
// once would be a storm there.
const (
	drainEvery = 100 * time.Millisecond
	drainMost  = 50
)

// draining says whether nodes are to go to another AC.
func (s *Server) draining() bool { return s.opt.Cluster != nil && s.opt.Cluster.Draining() }

// followDrain closes sessions while this AC is drained.
func (s *Server) followDrain(ctx context.Context) {
	if s.opt.Cluster == nil {
		return
	}
	t := time.NewTicker(drainEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.opt.Cluster.Drained():
		}
		s.opt.Log.Info("drained", "drained", s.draining(), "sessions", s.hub.Sessions())
		for s.draining() && s.hub.Drain(drainMost) > 0 {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
	}
}
