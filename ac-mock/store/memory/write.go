package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
)

// Txn implements store.Store.
func (s *Store) Txn(ctx context.Context, t store.Txn) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	if err := s.valid(t); err != nil {
		return 0, err
	}
	for _, c := range t.If {
		if s.keys[c.Key].Modified != c.Modified {
			return 0, fmt.Errorf("write, %s was changed by revision %d: %w", c.Key, s.keys[c.Key].Modified, store.ErrConflict)
		}
	}
	puts := func(op store.Op) bool { return !op.Delete }
	if s.full && slices.ContainsFunc(t.Then, puts) {
		return 0, fmt.Errorf("write: %w", store.ErrFull)
	}
	s.apply(t.Then)
	return s.revision, nil
}

func (s *Store) valid(t store.Txn) error {
	if len(t.If) > store.MaxOps || len(t.Then) > store.MaxOps {
		return fmt.Errorf("transaction of %d conditions and %d writes: want at most %d each", len(t.If), len(t.Then), store.MaxOps)
	}
	seen := map[string]bool{}
	for _, op := range t.Then {
		if seen[op.Key] {
			return fmt.Errorf("transaction writes %s twice", op.Key)
		}
		seen[op.Key] = true
		if op.Lease != 0 && s.leases[op.Lease] == nil {
			return fmt.Errorf("write %s under lease %x: %w", op.Key, int64(op.Lease), store.ErrNotFound)
		}
	}
	return nil
}

// apply makes one revision out of the writes that change something.
func (s *Store) apply(ops []store.Op) {
	c := change{revision: s.revision + 1}
	for _, op := range ops {
		old, was := s.keys[op.Key]
		if op.Delete && !was {
			continue
		}
		before := old.KV
		before.Key = op.Key
		c.before = append(c.before, before)
		c.events = append(c.events, s.applyOne(op, old, was, c.revision))
	}
	if len(c.events) == 0 {
		return
	}
	s.revision = c.revision
	s.log = append(s.log, c)
	if over := len(s.log) - s.history; over > 0 {
		s.compacted = s.log[over-1].revision
		clear(s.log[:over])
		s.log = s.log[over:] // append copies it when there is no more room
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *Store) applyOne(op store.Op, old entry, was bool, revision int64) store.Event {
	if op.Delete {
		delete(s.keys, op.Key)
		s.names.gone = true
		return store.Event{Deleted: true, KV: store.KV{Key: op.Key, Modified: revision}}
	}
	kv := store.KV{Key: op.Key, Value: slices.Clone(op.Value), Created: revision, Modified: revision}
	if was {
		kv.Created = old.Created
	}
	if !was {
		s.names.added = append(s.names.added, op.Key)
	}
	s.keys[op.Key] = entry{KV: kv, lease: op.Lease}
	return store.Event{KV: kv}
}

// Grant implements store.Store.
func (s *Store) Grant(ctx context.Context, ttl time.Duration) (store.LeaseID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, fmt.Errorf("grant a lease: %w", err)
	}
	ttl = max(time.Second, (ttl+time.Second-1)/time.Second*time.Second)
	s.lastLease++
	id := s.lastLease
	s.leases[id] = &lease{ttl: ttl, timer: time.AfterFunc(ttl, func() { s.expire(id) })}
	return id, nil
}

// KeepAlive implements store.Store.
func (s *Store) KeepAlive(ctx context.Context, id store.LeaseID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("keep alive lease %x: %w", int64(id), err)
	}
	l := s.leases[id]
	if l == nil {
		return fmt.Errorf("keep alive lease %x: %w", int64(id), store.ErrNotFound)
	}
	l.timer.Reset(l.ttl)
	return nil
}

// Revoke implements store.Store.
func (s *Store) Revoke(ctx context.Context, id store.LeaseID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("revoke lease %x: %w", int64(id), err)
	}
	if s.leases[id] == nil {
		return fmt.Errorf("revoke lease %x: %w", int64(id), store.ErrNotFound)
	}
	s.end(id)
	return nil
}

func (s *Store) expire(id store.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.leases[id] != nil {
		s.end(id)
	}
}

func (s *Store) end(id store.LeaseID) {
	s.leases[id].timer.Stop()
	delete(s.leases, id)
	var ops []store.Op
	for k, e := range s.keys {
		if e.lease == id {
			ops = append(ops, store.Delete(k))
		}
	}
	slices.SortFunc(ops, func(a, b store.Op) int { return strings.Compare(a.Key, b.Key) })
	s.apply(ops)
}
