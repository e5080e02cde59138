package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
)

// Store is s with its reads and writes counted and timed. A write is durable
// when it ends, so its time is that of the disk, and of the cluster.
func (m *Metrics) Store(s store.Store) store.Store { return timed{s, m} }

type timed struct {
	store.Store
	m *Metrics
}

// Get implements store.Store.
func (t timed) Get(ctx context.Context, key string) (kv store.KV, err error) {
	defer t.count("get", time.Now(), &err)
	return t.Store.Get(ctx, key)
}

// List implements store.Store.
func (t timed) List(ctx context.Context, prefix string, o store.ListOptions) (p store.Page, err error) {
	defer t.count("list", time.Now(), &err)
	return t.Store.List(ctx, prefix, o)
}

// Txn implements store.Store.
func (t timed) Txn(ctx context.Context, x store.Txn) (revision int64, err error) {
	defer t.count("txn", time.Now(), &err)
	return t.Store.Txn(ctx, x)
}

func (t timed) count(op string, began time.Time, err *error) {
	t.m.stored.WithLabelValues(op, result(*err)).Observe(time.Since(began).Seconds())
}

func result(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{store.ErrConflict, "conflict"}, {store.ErrNotFound, "not_found"}, {store.ErrUnavailable, "unavailable"},
		{store.ErrFull, "full"}, {context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	if err != nil {
		return "failed"
	}
	return "ok"
}
