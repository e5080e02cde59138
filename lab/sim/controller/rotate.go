package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/g8os/g8os/ac-mock/rotate/drive"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/sim/channel"
)

// rotations makes this run's part in rotations.
func (r *run) rotations() *drive.Driver {
	return drive.New(drive.Options{
		Grid: r.o.Grid, Name: r.o.Name, Store: r.store, Seal: r.o.Seal, CA: r.ca, Book: r.registry, Sessions: sessions{r},
		Clock: r.Now, Rand: r.rng, Log: r.o.Log,
	})
}

// sessions are those that nodes have with a run.
type sessions struct{ *run }

func (s sessions) Online(id api.NodeID) bool { return s.sessions[id] != nil }

func (s sessions) Rotate(id api.NodeID, a api.Rotate) {
	if to := s.sessions[id]; to != nil {
		to.Send(channel.Frame{Type: api.FrameRotate, Rotate: &a})
	}
}

// rotate has rotations go on.
func (r *run) rotate() {
	ctx := context.Background()
	before, _ := r.store.Revision(ctx)
	_ = r.rotating.Step(ctx) // without the store nothing goes on
	if after, _ := r.store.Revision(ctx); after != before {
		r.recheck()
		r.revokedNow()
		r.o.Watcher.Changed()
	}
}

// rotateSoon does so in a moment, once.
func (r *run) rotateSoon() {
	if r.turning {
		return
	}
	r.turning = true
	r.after(time.Millisecond, func() {
		r.turning = false
		r.rotate()
	})
}

// Rotate begins a rotation, as an operator does.
func (c *Controller) Rotate(k api.RotateKind) error {
	r := c.run
	if r == nil || r.frozen {
		return fmt.Errorf("rotate %s: AC %s does not answer", k, c.o.Name)
	}
	if _, err := r.rotating.Start(context.Background(), "operator", api.RotateRequest{Kind: k}); err != nil {
		return err
	}
	r.rotateSoon()
	return nil
}

// Rotations shows what an operator sees of them.
func (c *Controller) Rotations() ([]api.Rotation, error) {
	if c.run == nil || c.run.frozen {
		return nil, fmt.Errorf("rotations: AC %s does not answer", c.o.Name)
	}
	return c.run.rotating.Status(context.Background())
}
