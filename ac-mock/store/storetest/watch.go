package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
)

// collect reads n events from a watch.
func collect(t *testing.T, w <-chan store.Batch, n int) []store.Event {
	t.Helper()
	var events []store.Event
	for len(events) < n {
		select {
		case b, ok := <-w:
			if !ok || b.Err != nil {
				t.Fatalf("watch ended after %d of %d events: %v", len(events), n, b.Err)
			}
			for _, e := range b.Events {
				if e.Modified > b.Revision {
					t.Fatalf("event of revision %d in a batch up to %d", e.Modified, b.Revision)
				}
			}
			events = append(events, b.Events...)
		case <-time.After(Patience):
			t.Fatalf("%d of %d events within %v", len(events), n, Patience)
		}
	}
	return events
}

func watchOrder(t *testing.T, ctx context.Context, s store.Store) {
	w := s.Watch(ctx, "w/", 0)
	first := put(t, ctx, s, "w/a", "1")
	put(t, ctx, s, "v/elsewhere", "1")
	put(t, ctx, s, "w/a", "2")
	if _, err := s.Txn(ctx, store.Txn{Then: []store.Op{store.Delete("w/a"), store.Put("w/b", []byte("3"))}}); err != nil {
		t.Fatal(err)
	}
	events := collect(t, w, 4)
	if len(events) != 4 {
		t.Fatalf("%d events, want 4", len(events))
	}
	got := map[string]bool{}
	for i, e := range events {
		if i > 0 && e.Modified < events[i-1].Modified {
			t.Fatalf("event %d is of revision %d, after one of %d", i, e.Modified, events[i-1].Modified)
		}
		got[fmt.Sprintf("%d %s=%s deleted=%t", e.Modified-first, e.Key, e.Value, e.Deleted)] = true
	}
	for _, want := range []string{
		"0 w/a=1 deleted=false", "2 w/a=2 deleted=false", "3 w/a= deleted=true", "3 w/b=3 deleted=false",
	} {
		if !got[want] {
			t.Fatalf("no event %q in %v", want, got)
		}
	}
}

func watchPast(t *testing.T, ctx context.Context, s store.Store) {
	put(t, ctx, s, "w/0", "before")
	from := put(t, ctx, s, "w/1", "x")
	put(t, ctx, s, "w/2", "x")
	w := s.Watch(ctx, "w/", from)
	put(t, ctx, s, "w/3", "x")
	for i, e := range collect(t, w, 3) {
		if want := fmt.Sprintf("w/%d", i+1); e.Key != want {
			t.Fatalf("event %d is of %s, want %s", i, e.Key, want)
		}
	}
}

func watchEnds(t *testing.T, ctx context.Context, s store.Store) {
	own, cancel := context.WithCancel(ctx)
	w := s.Watch(own, "w/", 0)
	put(t, ctx, s, "w/1", "x")
	collect(t, w, 1)
	cancel()
	for {
		select {
		case _, ok := <-w:
			if !ok {
				return
			}
		case <-ctx.Done():
			t.Fatal("the watch did not end with its context")
		}
	}
}

func watchSlow(t *testing.T, ctx context.Context, s store.Store) {
	slow := s.Watch(ctx, "w/", 0)
	fast := s.Watch(ctx, "w/", 0)
	for i := range 200 {
		put(t, ctx, s, "w/k", fmt.Sprint(i))
	}
	collect(t, fast, 200)
	for i, e := range collect(t, slow, 200) {
		if string(e.Value) != fmt.Sprint(i) {
			t.Fatalf("event %d has value %s", i, e.Value)
		}
	}
}

func leaseExpires(t *testing.T, ctx context.Context, s store.Store) {
	id, err := s.Grant(ctx, 3*time.Second) // long enough to write under it on a slow disk
	if err != nil {
		t.Fatal(err)
	}
	w := s.Watch(ctx, "l/", 0)
	if _, err := s.Txn(ctx, store.Txn{Then: []store.Op{{Key: "l/a", Value: []byte("1"), Lease: id}, store.Put("l/b", nil)}}); err != nil {
		t.Fatal(err)
	}
	events := collect(t, w, 3)
	if last := events[2]; !last.Deleted || last.Key != "l/a" {
		t.Fatalf("third event %+v, want the deletion of l/a", last)
	}
	wantErr(t, s.KeepAlive(ctx, id), store.ErrNotFound)
	if _, err := s.Get(ctx, "l/b"); err != nil {
		t.Fatalf("the key without a lease: %v", err)
	}
}

func leaseRevoked(t *testing.T, ctx context.Context, s store.Store) {
	id, err := s.Grant(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Txn(ctx, store.Txn{Then: []store.Op{{Key: "l/a", Lease: id}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepAlive(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "l/a"); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(ctx, id); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, "l/a")
	wantErr(t, err, store.ErrNotFound)
	_, err = s.Txn(ctx, store.Txn{Then: []store.Op{{Key: "l/a", Lease: id}}})
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.Revoke(ctx, id), store.ErrNotFound)
}
