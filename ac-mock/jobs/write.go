package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/store"
)

// Bounds of the writing.
const (
	writersAtOnce = 4         // transactions under way
	maxTxnBytes   = 256 << 10 // of one with several writes
	writeWithin   = 5 * time.Second
	retryAfter    = time.Second
)

// put has something written; q.mu is held.
func (q *Queue) put(w *write) {
	switch w.what {
	case ofBegan:
		q.began[w.key] = w
	case ofResult:
		if late := q.began[w.key]; late != nil { // it has ended by now
			delete(q.began, w.key)
			q.queue = slices.DeleteFunc(q.queue, func(x *write) bool { return x == late })
		}
	}
	q.queue = append(q.queue, w)
	signal(q.more)
}

// batch takes as much of the queue as fits into one transaction. If nothing can
// be written yet, it says when that is to be looked at again (zero: when there is
// more).
func (q *Queue) batch() (batch []*write, next time.Time) {
	now := q.o.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes, ops, keys := 0, 0, map[string]bool{}
	var rest []*write
	for i, w := range q.queue {
		if ops == store.MaxOps {
			rest = append(rest, q.queue[i:]...)
			break
		}
		if now.Before(w.from) {
			if next.IsZero() || w.from.Before(next) {
				next = w.from
			}
			rest = append(rest, w)
			continue
		}
		twice := slices.ContainsFunc(w.ops, func(op store.Op) bool { return keys[op.Key] })
		if size := w.size(); twice || ops+len(w.ops) > store.MaxOps || len(batch) > 0 && bytes+size > maxTxnBytes {
			rest = append(rest, w)
			continue
		} else {
			bytes += size
		}
		for _, op := range w.ops {
			keys[op.Key] = true
		}
		ops += len(w.ops)
		batch = append(batch, w)
		if w.what == ofBegan {
			delete(q.began, w.key)
		}
	}
	q.queue = rest
	return batch, next
}

// writes writes what there is to write until ctx ends.
func (q *Queue) writes(ctx context.Context) {
	slots := make(chan struct{}, writersAtOnce)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		batch, next := q.batch()
		if len(batch) > 0 {
			q.wg.Go(func() {
				q.carryOut(ctx, batch)
				<-slots
			})
			continue
		}
		<-slots
		wait := time.Hour
		if !next.IsZero() {
			wait = next.Sub(q.o.Clock())
		}
		timer.Reset(max(wait, time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-q.more:
		case <-timer.C:
		}
	}
}

// carryOut writes a batch. If one of it cannot be written as it is, each is
// tried alone.
func (q *Queue) carryOut(ctx context.Context, batch []*write) {
	var t store.Txn
	for _, w := range batch {
		t.If, t.Then = append(t.If, w.holds...), append(t.Then, w.ops...)
	}
	revision, err := q.txn(ctx, t)
	if errors.Is(err, store.ErrConflict) && len(batch) > 1 {
		for _, w := range batch {
			q.carryOut(ctx, []*write{w})
		}
		return
	}
	if err != nil && !errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
		q.o.Log.Warn("jobs cannot be written", "writes", len(batch), "err", err)
	}
	for _, w := range batch {
		q.wrote(w, revision, err)
	}
}

func (q *Queue) txn(ctx context.Context, t store.Txn) (int64, error) {
	ctx, cancel := q.within(ctx)
	defer cancel()
	revision, err := q.o.Store.Txn(ctx, t)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return revision, err
}

// within bounds a question to the store, but for one in memory, which answers
// at once.
func (q *Queue) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if q.inline {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, writeWithin)
}

// wrote tells what became of a write. What nobody waits for is written again,
// unless something else stands there.
func (q *Queue) wrote(w *write, revision int64, err error) {
	switch {
	case w.done != nil:
		w.done <- written{revision, err}
	case err == nil: // the store's news say so
	case errors.Is(err, store.ErrConflict):
		q.step(func(m *delivery.Machine, _ time.Time) []delivery.Effect {
			if w.what == ofTurns {
				m.TurnsLost(w.key.job)
			} else {
				m.Unwritten(w.key.job, w.key.node)
			}
			return nil
		})
	case w.what == ofTurns:
		q.step(func(m *delivery.Machine, _ time.Time) []delivery.Effect { m.TurnsLost(w.key.job); return nil })
	default:
		w.from = q.o.Clock().Add(retryAfter)
		q.mu.Lock()
		q.put(w)
		q.mu.Unlock()
	}
}

// commit writes something for a caller, with others', and returns when the news
// of it have come.
func (q *Queue) commit(ctx context.Context, w *write) error {
	w.done = make(chan written, 1)
	q.mu.Lock()
	q.put(w)
	q.mu.Unlock()
	if q.inline {
		q.Settle(ctx)
	}
	select {
	case got := <-w.done:
		if got.err != nil || q.inline {
			return got.err
		}
		return q.await(ctx, got.revision)
	case <-ctx.Done():
		return fmt.Errorf("write to the store: %w", context.Cause(ctx))
	}
}

// await waits until the news up to a revision have been taken.
func (q *Queue) await(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	for {
		q.mu.Lock()
		there, reached := q.revision >= revision, q.reached
		q.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-reached:
		case <-ctx.Done():
			return fmt.Errorf("%w: it was written, and no news of it come", store.ErrUnavailable)
		}
	}
}

// Settle writes what there is to write, and returns when there is more (zero:
// not known).
func (q *Queue) Settle(ctx context.Context) (next time.Time) {
	q.append()
	q.lookUp(ctx)
	for {
		batch, next := q.batch()
		if len(batch) == 0 {
			return next
		}
		q.carryOut(ctx, batch)
	}
}
