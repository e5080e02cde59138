// Package storetest is the suite that every store.Store has to pass. It says
// in code what the contract says in words; it does not test durability, which
// only some implementations promise.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
)

// Patience bounds every wait of the suite.
const Patience = time.Minute

// Run tests the stores that open makes, one empty store a test. open also
// arranges for the store's end with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, context.Context, store.Store)
	}{
		{"a key can be written, read, changed and deleted", lifeOfAKey},
		{"a transaction is all or nothing", allOrNothing},
		{"of many writers on one revision exactly one wins", oneWinner},
		{"concurrent increments are all counted", increments},
		{"a listing is paged, in order, and of one revision", paging},
		{"keys alone can be listed", keysOnly},
		{"all keys can be listed", allKeys},
		{"more keys than fit a transaction or a page are written and removed", many},
		{"a watch delivers every change once, in order", watchOrder},
		{"a watch from the past delivers the past", watchPast},
		{"a watch ends with its context", watchEnds},
		{"a slow watcher loses nothing", watchSlow},
		{"keys go when their lease ends", leaseExpires},
		{"a lease kept alive holds, a revoked one does not", leaseRevoked},
		{"too large a transaction changes nothing", tooLarge},
		{"a closed store says so", closed},
		{"a context that has ended is honoured", ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), Patience)
			defer cancel()
			c.test(t, ctx, open(t))
		})
	}
}

func put(t *testing.T, ctx context.Context, s store.Store, key, value string) int64 {
	t.Helper()
	rev, err := s.Txn(ctx, store.Txn{Then: []store.Op{store.Put(key, []byte(value))}})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return rev
}

func many(t *testing.T, ctx context.Context, s store.Store) {
	ops := []store.Op{store.Put("n", nil)}
	for i := range store.DefaultPage + 1 {
		ops = append(ops, store.Put(fmt.Sprintf("m/%04d", i), []byte("v")))
	}
	err := store.Write(ctx, s, ops)
	keys, errKeys := store.Keys(ctx, s, "m/")
	if err := errors.Join(err, errKeys); err != nil || len(keys) != len(ops)-1 || keys[7] != "m/0007" {
		t.Fatalf("%d keys, want %d: %v", len(keys), len(ops)-1, err)
	}
	err = store.Remove(ctx, s, append(keys, "m/none"))
	left, errKeys := store.Keys(ctx, s, "")
	if err := errors.Join(err, errKeys); err != nil || fmt.Sprint(left) != "[n]" {
		t.Errorf("left: %v, %v", left, err)
	}
}

func allKeys(t *testing.T, ctx context.Context, s store.Store) {
	for _, key := range []string{"b/2", "a", "c"} {
		put(t, ctx, s, key, "v")
	}
	var all []string
	if _, err := store.Each(ctx, s, "", func(kv store.KV) error { all = append(all, kv.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(all) != "[a b/2 c]" {
		t.Fatalf("all keys are %v, want a b/2 c", all)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that wraps %q", err, want)
	}
}

func lifeOfAKey(t *testing.T, ctx context.Context, s store.Store) {
	_, err := s.Get(ctx, "a")
	wantErr(t, err, store.ErrNotFound)
	first := put(t, ctx, s, "a", "1")
	second := put(t, ctx, s, "a", "2")
	if second != first+1 {
		t.Fatalf("revisions %d, %d: want them to follow each other", first, second)
	}
	kv, err := s.Get(ctx, "a")
	if err != nil || string(kv.Value) != "2" || kv.Created != first || kv.Modified != second || kv.Key != "a" {
		t.Fatalf("got %+v, %v; want a=2 created %d modified %d", kv, err, first, second)
	}
	if _, err := s.Txn(ctx, store.Txn{Then: []store.Op{store.Delete("a"), store.Delete("never")}}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, "a")
	wantErr(t, err, store.ErrNotFound)
	if rev, err := s.Revision(ctx); err != nil || rev != second+1 {
		t.Fatalf("revision %d, %v; want %d", rev, err, second+1)
	}
}

func allOrNothing(t *testing.T, ctx context.Context, s store.Store) {
	rev := put(t, ctx, s, "a", "1")
	_, err := s.Txn(ctx, store.Txn{
		If:   []store.Cond{{Key: "a", Modified: rev}, {Key: "b", Modified: 7777}},
		Then: []store.Op{store.Put("a", []byte("2")), store.Put("b", []byte("2"))},
	})
	wantErr(t, err, store.ErrConflict)
	if kv, err := s.Get(ctx, "a"); err != nil || string(kv.Value) != "1" {
		t.Fatalf("after a refused transaction a=%s, %v; want 1", kv.Value, err)
	}
	after, err := s.Txn(ctx, store.Txn{
		If:   []store.Cond{{Key: "a", Modified: rev}, {Key: "b"}},
		Then: []store.Op{store.Put("b", []byte("2")), store.Delete("a")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if kv, err := s.Get(ctx, "b"); err != nil || kv.Modified != after {
		t.Fatalf("b=%+v, %v; want it at revision %d", kv, err, after)
	}
	_, err = s.Get(ctx, "a")
	wantErr(t, err, store.ErrNotFound)
}

func oneWinner(t *testing.T, ctx context.Context, s store.Store) {
	rev := put(t, ctx, s, "seat", "")
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := s.Txn(ctx, store.Txn{
				If:   []store.Cond{{Key: "seat", Modified: rev}},
				Then: []store.Op{store.Put("seat", fmt.Appendf(nil, "%d", i))},
			})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, store.ErrConflict):
				lost.Add(1)
			default:
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 15 {
		t.Fatalf("%d won, %d lost; want 1 and 15", won.Load(), lost.Load())
	}
}

func increments(t *testing.T, ctx context.Context, s store.Store) {
	const writers, each = 6, 10
	put(t, ctx, s, "n", "0")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				if err := increment(ctx, s); err == nil {
					done++
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if kv, err := s.Get(ctx, "n"); err != nil || string(kv.Value) != fmt.Sprint(writers*each) {
		t.Fatalf("n=%s, %v; want %d", kv.Value, err, writers*each)
	}
}

func increment(ctx context.Context, s store.Store) error {
	kv, err := s.Get(ctx, "n")
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(string(kv.Value), &n); err != nil {
		return err
	}
	_, err = s.Txn(ctx, store.Txn{
		If:   []store.Cond{{Key: "n", Modified: kv.Modified}},
		Then: []store.Op{store.Put("n", fmt.Append(nil, n+1))},
	})
	return err
}

func paging(t *testing.T, ctx context.Context, s store.Store) {
	for i := range 10 {
		put(t, ctx, s, fmt.Sprintf("p/%02d", 9-i), "x")
	}
	put(t, ctx, s, "o/1", "before")
	rev := put(t, ctx, s, "q/1", "after")
	first, err := s.List(ctx, "p/", store.ListOptions{Limit: 4})
	if err != nil || len(first.KVs) != 4 || first.Next == "" || first.Revision != rev {
		t.Fatalf("first page %+v, %v; want 4 keys, a next one, revision %d", first, err, rev)
	}
	put(t, ctx, s, "p/041", "too late for this listing")
	if _, err := s.Txn(ctx, store.Txn{Then: []store.Op{store.Delete("p/08"), store.Put("p/09", []byte("y"))}}); err != nil {
		t.Fatal(err)
	}
	got := first.KVs
	for next := first.Next; next != ""; {
		page, err := s.List(ctx, "p/", store.ListOptions{Limit: 4, From: next, Revision: first.Revision})
		if err != nil {
			t.Fatal(err)
		}
		got, next = append(got, page.KVs...), page.Next
	}
	if len(got) != 10 {
		t.Fatalf("%d keys, want the 10 of revision %d", len(got), rev)
	}
	for i, kv := range got {
		if kv.Key != fmt.Sprintf("p/%02d", i) || string(kv.Value) != "x" {
			t.Fatalf("key %d is %s=%s, want p/%02d=x", i, kv.Key, kv.Value, i)
		}
	}
	n := 0
	at, err := store.Each(ctx, s, "p/", func(store.KV) error { n++; return nil })
	if err != nil || n != 10 || at != rev+2 {
		t.Fatalf("Each: %d keys at revision %d, %v; want 10 at %d", n, at, err, rev+2)
	}
}

func keysOnly(t *testing.T, ctx context.Context, s store.Store) {
	put(t, ctx, s, "k/1", "value")
	page, err := s.List(ctx, "k/", store.ListOptions{KeysOnly: true})
	if err != nil || len(page.KVs) != 1 || len(page.KVs[0].Value) != 0 {
		t.Fatalf("got %+v, %v; want one key without its value", page.KVs, err)
	}
}

func tooLarge(t *testing.T, ctx context.Context, s store.Store) {
	var txn store.Txn
	for i := range store.MaxOps + 1 {
		txn.Then = append(txn.Then, store.Put(fmt.Sprintf("big/%d", i), nil))
	}
	if _, err := s.Txn(ctx, txn); err == nil {
		t.Fatal("a transaction above MaxOps was carried out")
	}
	page, err := s.List(ctx, "big/", store.ListOptions{})
	if err != nil || len(page.KVs) != 0 {
		t.Fatalf("%d keys were written, %v", len(page.KVs), err)
	}
}

func closed(t *testing.T, ctx context.Context, s store.Store) {
	w := s.Watch(ctx, "", 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(ctx, "a")
	wantErr(t, err, store.ErrClosed)
	_, err = s.Txn(ctx, store.Txn{Then: []store.Op{store.Put("a", nil)}})
	wantErr(t, err, store.ErrClosed)
	for range w { // ends, or the suite runs out of patience
	}
	if err := s.Close(); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
}

func ended(t *testing.T, ctx context.Context, s store.Store) {
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Txn(over, store.Txn{Then: []store.Op{store.Put("a", nil)}}); err == nil {
		t.Fatal("a write under an ended context was acknowledged")
	}
}
