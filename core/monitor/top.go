package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/monitor/measure"
)

// Bounds of what Top can be asked for.
const (
	topInterval = time.Second
	topLeast    = 100 * time.Millisecond
	topMost     = 10 * time.Minute
	topLimit    = 20
	topAtMost   = 1000
)

// ErrArgs is wrapped when Top is asked for what cannot be.
var ErrArgs = errors.New("cannot be measured")

// Top measures what uses this machine, and hands it to show: once, or with
// Follow after every interval until ctx ends or show fails. count adds what
// others know to the figures; it may be nil.
func Top(ctx context.Context, p Paths, a api.TopArgs, count func(*api.Metrics), show func(api.Top) error) error {
	every, err := checkTop(&a)
	if err != nil {
		return err
	}
	r, err := NewReader(p)
	if err != nil {
		return err
	}
	before, err := r.Full()
	if before.CPUAll == 0 {
		return fmt.Errorf("measure this machine: %w", err)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if ctx.Err() != nil { // both at once
			return ctx.Err()
		}
		after, _ := r.Full() // what cannot be read is not there
		t := measure.Top(before, after, a.Limit)
		if count != nil {
			count(&t.Metrics)
		}
		if err := show(t); err != nil || !a.Follow {
			return err
		}
		before = after
	}
}

func checkTop(a *api.TopArgs) (every time.Duration, err error) {
	if a.IntervalMS < 0 || a.IntervalMS > topMost.Milliseconds() {
		return 0, fmt.Errorf("%w: interval_ms is %d, want 0 to %d", ErrArgs, a.IntervalMS, topMost.Milliseconds())
	}
	if a.Limit < 0 || a.Limit > topAtMost {
		return 0, fmt.Errorf("%w: limit is %d, want 0 to %d", ErrArgs, a.Limit, topAtMost)
	}
	if a.Limit == 0 {
		a.Limit = topLimit
	}
	if every = time.Duration(a.IntervalMS) * time.Millisecond; every == 0 {
		every = topInterval
	}
	return max(every, topLeast), nil
}
