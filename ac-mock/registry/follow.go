package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Reload reads the whole book: at the beginning, and when the store no longer
// has what happened meanwhile. On an error what is known stays in force.
func (r *Registry) Reload(ctx context.Context) error {
	revision, err := store.Each(ctx, r.o.Store, prefix, r.book.apply)
	if err != nil {
		return fmt.Errorf("read the registry of grid %s: %w", r.o.Grid, err)
	}
	r.revision.Store(revision)
	return nil
}

// Revision is the store's revision up to which the book is known to be
// complete: news begin with the one after it.
func (r *Registry) Revision() int64 { return r.revision.Load() }

// Prefix is what the keys begin with that Take wants to hear of.
const Prefix = prefix

// Take takes news: what the store's Watch (or a twin of it) delivers, in its
// order. Other keys than those under Prefix do not matter. After an error,
// Reload.
func (r *Registry) Take(b store.Batch) error {
	if b.Err != nil {
		return b.Err
	}
	for _, e := range b.Events {
		if e.Deleted || !strings.HasPrefix(e.Key, prefix) {
			continue // nothing under node/ is ever deleted
		}
		if err := r.book.apply(e.KV); err != nil {
			r.o.Log.Error("cannot read what another AC wrote", "err", err)
		}
	}
	r.revision.Store(max(r.Revision(), b.Revision))
	return nil
}

// follow keeps the book up to date until ctx ends.
func (r *Registry) follow(ctx context.Context) {
	for ctx.Err() == nil {
		for b := range r.o.Store.Watch(ctx, prefix, r.Revision()+1) {
			if err := r.Take(b); err != nil {
				r.o.Log.Warn("lost sight of the store, reading it again", "err", err)
				break
			}
		}
		pause(ctx, retryAfter)
		if err := r.Reload(ctx); err != nil && ctx.Err() == nil {
			r.o.Log.Warn("cannot read the store, the last state stays in force", "err", err)
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

// refresh reads what a claim touches from the store: a conflict has shown that
// the book is behind.
func (r *Registry) refresh(ctx context.Context, holds []store.Cond) error {
	for _, c := range holds {
		if err := r.reload(ctx, c.Key); err != nil {
			return err
		}
	}
	// Indices may now point to records that were not among the conditions.
	for _, id := range r.book.behind(holds) {
		if err := r.reload(ctx, keyRecord+string(id)); err != nil {
			return err
		}
	}
	return nil
}

// padded fills up what a refused claim makes the AC read, so that the number
// of reads tells nothing about what is known: each MAC, the device key, and two
// records. (More than two records only a claim with several nodes' MACs has.)
func padded(holds []store.Cond, macs int) []store.Cond {
	holds = holds[:len(holds):len(holds)]
	for len(holds) < macs+3 {
		holds = append(holds, store.Cond{Key: keyRecord + "none"})
	}
	return holds
}

func (r *Registry) reload(ctx context.Context, key string) error {
	kv, err := r.o.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read again after a conflict: %w", err)
	}
	return r.book.apply(kv)
}

// behind lists nodes that one of the indices just read names and that are not
// known yet. It looks at no others: a refusal must not cost the size of the grid.
func (b *book) behind(holds []store.Cond) (ids []api.NodeID) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range holds {
		p := b.macs[strings.TrimPrefix(c.Key, keyMAC)]
		if key, ok := strings.CutPrefix(c.Key, keyDevice); ok {
			p = b.keys[key]
		}
		if e := b.nodes[p.id]; p.id != "" && (e == nil || e.modified == 0) && !slices.Contains(ids, p.id) {
			ids = append(ids, p.id)
		}
	}
	return ids
}
