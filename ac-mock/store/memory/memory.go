// Package memory is the twin of store/etcd in memory: the same promises,
// checked by the same suite, but for durability. It is for tests and for the
// simulator; it keeps a bounded history for watches and old revisions.
package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
)

// Options of a Store. The zero value is good.
type Options struct {
	History int // revisions kept for watches and for paged lists; 0: 10 000
}

// Store is store.Store in memory.
type Store struct {
	mu        sync.Mutex
	history   int
	revision  int64
	compacted int64 // the newest revision that is no longer kept
	keys      map[string]entry
	names     names    // of keys
	log       []change // of revisions compacted+1 … revision, in order
	leases    map[store.LeaseID]*lease
	lastLease store.LeaseID
	grown     chan struct{} // closed and replaced at every change, and at Close
	closed    bool
	down      bool
	full      bool
}

type entry struct {
	store.KV
	lease store.LeaseID
}

// change is what one revision did: each event with the value that it replaced,
// so that the past can be read.
type change struct {
	revision int64
	events   []store.Event
	before   []store.KV // Modified 0: there was none
}

type lease struct {
	ttl   time.Duration
	timer *time.Timer
}

var _ store.Store = (*Store)(nil)

// New makes an empty store. As in etcd, the first write makes revision 2.
func New(o Options) *Store {
	if o.History == 0 {
		o.History = 10_000
	}
	return &Store{
		history: o.History, revision: 1, compacted: 0, keys: map[string]entry{},
		leases: map[store.LeaseID]*lease{}, grown: make(chan struct{}),
	}
}

// SetDown makes every call fail with store.ErrUnavailable, or heals that: a
// lost quorum. Watches stay open and go on afterwards.
func (s *Store) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// SetFull makes every write but deletes fail with store.ErrFull, or heals that:
// a quota that is used up, as etcd has it.
func (s *Store) SetFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

func (s *Store) usable(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.closed:
		return store.ErrClosed
	case s.down:
		return store.ErrUnavailable
	}
	return nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.KV, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return store.KV{}, fmt.Errorf("read %s: %w", key, err)
	}
	e, ok := s.keys[key]
	if !ok {
		return store.KV{}, fmt.Errorf("read %s: %w", key, store.ErrNotFound)
	}
	return clone(e.KV), nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string, o store.ListOptions) (store.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return store.Page{}, fmt.Errorf("list %s: %w", prefix, err)
	}
	if o.Limit <= 0 {
		o.Limit = store.DefaultPage
	}
	if o.Revision == 0 {
		o.Revision = s.revision
	}
	if o.Revision < s.compacted {
		return store.Page{}, fmt.Errorf("list %s at revision %d: %w", prefix, o.Revision, store.ErrCompacted)
	}
	at, order := s.asOf(o.Revision, func(k string) bool { return strings.HasPrefix(k, prefix) && k >= o.From })
	page := store.Page{Revision: o.Revision}
	first, _ := slices.BinarySearch(order, max(prefix, o.From))
	for _, k := range order[first:] {
		if !strings.HasPrefix(k, prefix) {
			break
		}
		if len(page.KVs) == o.Limit {
			page.Next = k
			break
		}
		kv := clone(at(k))
		if o.KeysOnly {
			kv.Value = nil
		}
		page.KVs = append(page.KVs, kv)
	}
	return page, nil
}

// asOf returns the keys that are wanted as they were at a revision, and their
// names in order (and maybe others' that do not begin as they do).
func (s *Store) asOf(revision int64, wanted func(key string) bool) (func(key string) store.KV, []string) {
	if revision >= s.revision {
		return func(k string) store.KV { return s.keys[k].KV }, s.names.ordered(s.keys)
	}
	at := s.undone(revision, wanted)
	return func(k string) store.KV { return at[k] }, slices.Sorted(maps.Keys(at))
}

// undone undoes, on a copy of the keys that are wanted, what happened after a
// revision.
func (s *Store) undone(revision int64, wanted func(key string) bool) map[string]store.KV {
	at := map[string]store.KV{}
	for k, e := range s.keys {
		if wanted(k) {
			at[k] = e.KV
		}
	}
	for _, c := range slices.Backward(s.log) {
		if c.revision <= revision {
			break
		}
		for _, kv := range c.before {
			switch {
			case !wanted(kv.Key):
			case kv.Modified == 0:
				delete(at, kv.Key)
			default:
				at[kv.Key] = kv
			}
		}
	}
	return at
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, fmt.Errorf("read the revision: %w", err)
	}
	return s.revision, nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, l := range s.leases {
		l.timer.Stop()
	}
	close(s.grown)
	return nil
}

func clone(kv store.KV) store.KV {
	kv.Value = slices.Clone(kv.Value)
	return kv
}
