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

// load reads the whole book.
func (r *Registry) load(ctx context.Context) (revision int64, err error) {
	return store.Each(ctx, r.o.Store, prefix, r.book.apply)
}

// follow keeps the book up to date until ctx ends. When the store no longer
// has what happened meanwhile, the book is read again.
func (r *Registry) follow(ctx context.Context, revision int64) {
	for ctx.Err() == nil {
		for b := range r.o.Store.Watch(ctx, prefix, revision+1) {
			if b.Err != nil {
				r.o.Log.Warn("lost sight of the store, reading it again", "err", b.Err)
				break
			}
			for _, e := range b.Events {
				if err := r.take(e); err != nil {
					r.o.Log.Error("cannot read what another AC wrote", "err", err)
				}
			}
			revision = max(revision, b.Revision)
		}
		pause(ctx, retryAfter)
		if at, err := r.load(ctx); err == nil {
			revision = at
		} else if ctx.Err() == nil {
			r.o.Log.Warn("cannot read the store, the last state stays in force", "err", err)
		}
	}
}

func (r *Registry) take(e store.Event) error {
	if e.Deleted {
		return nil // nothing under node/ is ever deleted
	}
	return r.book.apply(e.KV)
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

// background writes what may be late: refusals, their sums, whereabouts.
func (r *Registry) background(ctx context.Context) {
	w := newWriter(r)
	sum, back, prune := time.NewTicker(sumUpEvery), time.NewTicker(writeBackEvery), time.NewTicker(pruneEvery)
	defer func() { sum.Stop(); back.Stop(); prune.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-r.refusals:
			w.refusal(ctx, f)
		case <-sum.C:
			w.sumUp(ctx, false)
		case <-back.C:
			w.writeBack(ctx, false)
		case <-prune.C:
			w.writeBack(ctx, true)
			w.prune(ctx)
		case done := <-r.flush:
			w.drain(ctx)
			w.sumUp(ctx, true)
			w.writeBack(ctx, true)
			close(done)
		}
	}
}
