package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Reload reads all jobs: at the beginning, and when the store no longer has what
// happened meanwhile. On an error what is known stays in force.
func (q *Queue) Reload(ctx context.Context) error {
	var all []store.Event
	revision, err := store.Each(ctx, q.o.Store, Prefix, func(kv store.KV) error {
		all = append(all, store.Event{KV: kv})
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the jobs: %w", err)
	}
	now := q.o.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	there := map[string]bool{}
	for _, e := range all {
		if kind, k := split(e.Key); kind == keySpec {
			there[k.job] = true
		}
	}
	for _, id := range q.m.Jobs() {
		if !there[id] {
			q.gone(id)
		}
	}
	for _, id := range q.o.Output.Jobs() {
		if !there[id] {
			q.drop = append(q.drop, id)
		}
	}
	signal(q.pieces)
	q.apply(all, now)
	q.reach(revision)
	return nil
}

// Revision is the store's revision up to which the news were taken.
func (q *Queue) Revision() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.revision
}

// Take takes news: what the store's Watch (or a twin of it) delivers, in its
// order. After an error, Reload.
func (q *Queue) Take(b store.Batch) error {
	if b.Err != nil {
		return b.Err
	}
	now := q.o.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.apply(slices.Clone(b.Events), now)
	q.reach(b.Revision)
	return nil
}

func (q *Queue) reach(revision int64) {
	q.revision = max(q.revision, revision)
	close(q.reached)
	q.reached = make(chan struct{})
}

// follow takes the store's news until ctx ends.
func (q *Queue) follow(ctx context.Context) {
	for ctx.Err() == nil {
		for b := range q.o.Store.Watch(ctx, Prefix, q.Revision()+1) {
			if err := q.Take(b); err != nil {
				q.o.Log.Warn("lost sight of the store, reading the jobs again", "err", err)
				break
			}
		}
		pause(ctx, retryAfter)
		if err := q.Reload(ctx); err != nil && ctx.Err() == nil {
			q.o.Log.Warn("cannot read the jobs, the last state stays in force", "err", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// apply takes changes of keys, in the store's order; those of one revision in
// that of their keys. q.mu is held.
func (q *Queue) apply(events []store.Event, now time.Time) {
	slices.SortStableFunc(events, func(a, b store.Event) int {
		return cmp.Or(cmp.Compare(a.Modified, b.Modified), cmp.Compare(rank(a.Key), rank(b.Key)), strings.Compare(a.Key, b.Key))
	})
	for _, e := range events {
		if err := q.applyOne(e, now); err != nil {
			q.o.Log.Error("cannot read what another AC wrote", "key", e.Key, "err", err)
		}
	}
}

// rank puts the making of a job before what is said of it.
func rank(key string) int {
	if strings.HasPrefix(key, keySpec) {
		return 0
	}
	return 1
}

func (q *Queue) applyOne(e store.Event, now time.Time) error {
	kind, k := split(e.Key)
	if _, known := q.m.Spec(k.job); kind != keySpec && !known {
		if e.Deleted {
			delete(q.orphans, e.Key)
		} else {
			q.orphans[e.Key] = true
		}
		return nil
	}
	if e.Deleted {
		if kind == keySpec {
			q.gone(k.job)
		}
		return nil
	}
	switch kind {
	case keySpec:
		return q.made(e.KV, now)
	case keyBegan:
		return decode(e.KV, func(b delivery.Began) { q.perform(q.m.Began(k.job, k.node, b, e.Modified)) })
	case keyDone:
		return decode(e.KV, func(r delivery.Result) { q.perform(q.m.Done(k.job, k.node, r, e.Modified, now)) })
	case keyTurn:
		return decode(e.KV, func(t []api.NodeID) { q.perform(q.m.Turns(k.job, t, e.Modified, now)) })
	case keyCancel:
		q.perform(q.m.Cancelled(k.job, k.node, now))
	}
	return nil
}

func decode[T any](kv store.KV, take func(T)) error {
	var v T
	if err := json.Unmarshal(kv.Value, &v); err != nil {
		return err
	}
	take(v)
	return nil
}

func (q *Queue) made(kv store.KV, now time.Time) error {
	var s delivery.Spec
	if err := json.Unmarshal(kv.Value, &s); err != nil {
		return err
	}
	if _, known := q.m.Spec(s.ID); known {
		return nil
	}
	safe, err := q.o.Output.Last(s.ID)
	if err != nil {
		q.o.Log.Error("cannot read the output of a job that is here: the node says it again", "job", s.ID, "err", err)
	}
	q.perform(q.m.Made(s, kv.Created, safe, now))
	return nil
}

// gone forgets a job.
func (q *Queue) gone(id string) {
	q.perform(q.m.Forgotten(id, q.o.Clock()))
	q.drop = append(q.drop, id)
	signal(q.pieces)
}
