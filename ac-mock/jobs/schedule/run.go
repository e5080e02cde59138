package schedule

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/schedule/due"
	"github.com/g8os/g8os/ac-mock/store"
)

// Times of the work at an AC.
const (
	retryAfter = time.Second
	lookEvery  = 30 * time.Second // also without being told: the clock may have been set
	stepWithin = 5 * time.Second  // for one schedule: the others wait
)

// Run follows the store and makes jobs when they are due, until ctx ends.
func (s *Scheduler) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() { defer close(done); s.follow(ctx) }()
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(s.Step(ctx))
		select {
		case <-ctx.Done():
		case <-s.kick:
		case <-timer.C:
		}
	}
	<-done
}

// Step makes the jobs that are due, and says how long nothing will be.
func (s *Scheduler) Step(ctx context.Context) (wait time.Duration) {
	wait = lookEvery
	for _, e := range s.all() {
		if ctx.Err() != nil {
			return wait
		}
		if err := s.one(ctx, e); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("schedule not looked after", "schedule", e.Name, "error", err)
			wait = min(wait, retryAfter)
			continue
		}
	}
	now := s.o.Clock()
	for _, e := range s.all() {
		if next := e.Shown(now).Next; !next.IsZero() {
			wait = min(wait, max(next.Sub(now), time.Millisecond))
		}
	}
	return wait
}

// one decides about a schedule, makes its job, and writes down that it did: a
// crash in between makes no second one, because its id is the same.
func (s *Scheduler) one(ctx context.Context, e stored) error {
	now := s.o.Clock()
	if !due.Step(e.Entry, false, now).Changed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	runs := false
	if e.LastJob != "" {
		var err error
		if runs, err = s.o.Jobs.Runs(ctx, e.LastJob); err != nil {
			return err
		}
	}
	d := due.Step(e.Entry, runs, now)
	if d.Job != "" {
		err := s.o.MayAct(ctx, e.By)
		if err == nil {
			err = s.o.Jobs.Make(ctx, "schedule:"+e.Name, d.Request())
		}
		switch {
		case passing(ctx, err):
			return err
		case err != nil:
			d.Entry = d.Failed(e.Entry, err)
		}
	}
	if d.Entry.Note != e.Note {
		s.o.Log.Warn("schedule", "schedule", e.Name, "note", d.Entry.Note)
	}
	return s.write(ctx, d.Entry, e.modified)
}

// passing says whether an error may be gone when one tries again.
func passing(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrFull))
}

// write stores an entry over the one that was decided on. If another AC was
// faster, its word counts, and comes by the watch.
func (s *Scheduler) write(ctx context.Context, e due.Entry, over int64) error {
	op, err := put(e)
	if err != nil {
		return err
	}
	revision, err := s.o.Store.Txn(ctx, store.Txn{If: []store.Cond{{Key: op.Key, Modified: over}}, Then: []store.Op{op}})
	switch {
	case errors.Is(err, store.ErrConflict):
		kv, err := s.o.Store.Get(ctx, op.Key)
		if errors.Is(err, store.ErrNotFound) {
			kv, err = store.KV{Key: op.Key, Modified: over + 1}, nil // removed
		}
		if err == nil {
			s.take(kv, len(kv.Value) == 0)
		}
		return err
	case err != nil:
		return err
	}
	s.take(store.KV{Key: op.Key, Value: op.Value, Modified: revision}, false)
	return nil
}

// follow keeps what this AC knows as the store has it.
func (s *Scheduler) follow(ctx context.Context) {
	for ctx.Err() == nil {
		from, err := s.Load(ctx)
		if err == nil {
			err = s.watch(ctx, from+1)
		}
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("schedules are not followed", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

func (s *Scheduler) watch(ctx context.Context, from int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for batch := range s.o.Store.Watch(ctx, prefix, from) {
		if batch.Err != nil {
			return batch.Err
		}
		for _, ev := range batch.Events {
			s.take(ev.KV, ev.Deleted)
		}
	}
	return nil
}

// Load takes all schedules from the store, as of the revision that it returns.
func (s *Scheduler) Load(ctx context.Context) (int64, error) {
	there := map[string]bool{}
	revision, err := store.Each(ctx, s.o.Store, prefix, func(kv store.KV) error {
		there[strings.TrimPrefix(kv.Key, prefix)] = true
		s.take(kv, false)
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, e := range s.entries {
		if !there[name] && e.modified <= revision {
			delete(s.entries, name)
		}
	}
	return revision, nil
}

// take keeps one key as it is in the store; older news than what is known is
// ignored.
func (s *Scheduler) take(kv store.KV, deleted bool) {
	name, e := strings.TrimPrefix(kv.Key, prefix), stored{modified: kv.Modified}
	if !deleted {
		e = s.decode(kv)
	}
	s.mu.Lock()
	if kv.Modified > s.entries[name].modified {
		s.entries[name] = e
	}
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default: // it is to look already
	}
}
