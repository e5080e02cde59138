package memory

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/g8os/g8os/ac-mock/store"
)

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from int64) <-chan store.Batch {
	out := make(chan store.Batch)
	s.mu.Lock()
	if from == 0 {
		from = s.revision + 1
	}
	s.mu.Unlock()
	go func() {
		defer close(out)
		for {
			b, grown := s.since(prefix, from)
			if len(b.Events) > 0 || b.Err != nil {
				select {
				case out <- b:
				case <-ctx.Done():
					return
				}
			}
			if b.Err != nil || grown == nil {
				return
			}
			from = b.Revision + 1
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Since is Watch without a goroutine: what happened to keys with a prefix from
// a revision on, until now. What comes next begins at Batch.Revision + 1. Err
// wraps store.ErrCompacted when the history does not go back so far.
func (s *Store) Since(prefix string, from int64) store.Batch {
	b, _ := s.since(prefix, from)
	return b
}

// since collects what happened from a revision on, and the channel that tells
// when there is more; nil when there will be no more.
func (s *Store) since(prefix string, from int64) (store.Batch, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := store.Batch{Revision: max(s.revision, from-1)}
	if s.closed {
		return b, nil
	}
	if from <= s.compacted {
		b.Err = fmt.Errorf("watch %s from revision %d: %w: kept from revision %d on", prefix, from, store.ErrCompacted, s.compacted+1)
		return b, nil
	}
	first := sort.Search(len(s.log), func(i int) bool { return s.log[i].revision >= from })
	for _, c := range s.log[first:] {
		for _, e := range c.events {
			if strings.HasPrefix(e.Key, prefix) {
				e.KV = clone(e.KV)
				b.Events = append(b.Events, e)
			}
		}
	}
	return b, s.grown
}
