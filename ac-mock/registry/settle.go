package registry

import (
	"context"
	"time"

	"github.com/g8os/g8os/ac-mock/audit"
)

// writer writes what may be late: refusals, their sums, whereabouts. Who has
// its turn may use it.
type writer struct {
	*Registry
	turn chan struct{} // holds one token while nobody writes
	thin *audit.Coalescer
	due  struct{ sum, back, prune, link, look time.Time }
}

func newWriter(r *Registry) *writer {
	w := &writer{Registry: r, turn: make(chan struct{}, 1), thin: audit.NewCoalescer()}
	w.turn <- struct{}{}
	now := r.o.Clock()
	w.due.sum, w.due.back, w.due.prune = now.Add(sumUpEvery), now.Add(writeBackEvery), now.Add(pruneEvery)
	w.due.link, w.due.look = now.Add(linkEvery), now.Add(lookEvery)
	return w
}

// Settle writes the refusals that wait, and whatever is late enough by the
// clock: sums of refusals, whereabouts, the chain of the audit, and what the audit has too much of.
// What cannot be written is logged, and whereabouts are tried again. It returns
// when something is due next. A refusal changes its record no earlier.
func (r *Registry) Settle(ctx context.Context) (next time.Time) {
	w := r.late
	select {
	case <-w.turn:
	case <-ctx.Done():
		return w.o.Clock().Add(sumUpEvery)
	}
	defer func() { w.turn <- struct{}{} }()
	return w.settle(ctx)
}

func (w *writer) settle(ctx context.Context) (next time.Time) {
	w.drain(ctx)
	now := w.o.Clock()
	prune := passed(&w.due.prune, pruneEvery, now)
	if passed(&w.due.sum, sumUpEvery, now) {
		w.sumUp(ctx, false)
	}
	if passed(&w.due.back, writeBackEvery, now) || prune {
		w.writeBack(ctx, prune)
	}
	if prune {
		w.prune(ctx)
	}
	look := passed(&w.due.look, lookEvery, now)
	if w.untied.Load() && passed(&w.due.link, linkEvery, now) || look {
		w.link(ctx)
	}
	return w.next()
}

// next is when something is due.
func (w *writer) next() time.Time {
	next := w.due.sum
	for _, at := range []time.Time{w.due.back, w.due.prune, w.due.look} {
		if at.Before(next) {
			next = at
		}
	}
	if w.untied.Load() && w.due.link.Before(next) {
		next = w.due.link
	}
	return next
}

// passed says whether something is due now, and if so, when again. What is
// further away than it ever is was put there by a clock that was ahead: it is
// due too.
func passed(due *time.Time, every time.Duration, now time.Time) bool {
	if now.Before(*due) && due.Sub(now) <= every {
		return false
	}
	*due = now.Add(every)
	return true
}

// Flush writes everything noted so far (refusals, audit, whereabouts), due or
// not. What could not be written is logged.
func (r *Registry) Flush(ctx context.Context) error {
	w := r.late
	select {
	case <-w.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { w.turn <- struct{}{} }()
	w.drain(ctx)
	w.sumUp(ctx, true)
	w.writeBack(ctx, true)
	w.link(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// background settles in time, until ctx ends.
func (r *Registry) background(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.more:
		case <-t.C:
		}
		next := r.Settle(ctx)
		t.Reset(next.Sub(r.o.Clock()))
	}
}
