package memory_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/ac-mock/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := memory.New(memory.Options{})
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestClientConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := memory.New(memory.Options{})
		t.Cleanup(func() { _ = s.Close() })
		return closing{s.Client(), s}
	})
}

// closing is a client that closes its store.
type closing struct {
	*memory.Client
	s *memory.Store
}

func (c closing) Close() error { return c.s.Close() }

func put(t *testing.T, s store.Store, key string) (int64, error) {
	t.Helper()
	return s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(key, []byte("v"))}})
}

func TestSince(t *testing.T) {
	s := memory.New(memory.Options{History: 3})
	defer s.Close()
	for _, key := range []string{"a/1", "b/1", "a/2", "b/2"} { // revisions 2 … 5
		if _, err := put(t, s, key); err != nil {
			t.Fatal(err)
		}
	}
	b := s.Since("a/", 3)
	if len(b.Events) != 1 || b.Events[0].Key != "a/2" || b.Revision != 5 || b.Err != nil {
		t.Fatalf("since revision 3: %+v", b)
	}
	if b := s.Since("a/", b.Revision+1); len(b.Events) != 0 || b.Revision != 5 || b.Err != nil {
		t.Fatalf("nothing new: %+v", b)
	}
	if b := s.Since("a/", 2); !errors.Is(b.Err, store.ErrCompacted) {
		t.Fatalf("since a forgotten revision: %+v", b)
	}
}

func TestFull(t *testing.T) {
	s := memory.New(memory.Options{})
	defer s.Close()
	s.SetFull(true)
	if _, err := put(t, s, "k"); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
	if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Delete("k")}}); err != nil {
		t.Fatalf("a delete: %v", err)
	}
	s.SetFull(false)
	if _, err := put(t, s, "k"); err != nil {
		t.Fatal(err)
	}
}

func TestOneClientIsCutOff(t *testing.T) {
	s := memory.New(memory.Options{})
	defer s.Close()
	cut, other := s.Client(), s.Client()
	cut.SetDown(true)
	if _, err := put(t, cut, "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	if _, err := other.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
	cut.SetDown(false)
	cut.SetLossy(true)
	if _, err := put(t, cut, "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	if _, err := other.Get(t.Context(), "k"); err != nil {
		t.Fatalf("a write whose answer was lost: %v", err)
	}
}

// TestListAgainstAMap plays random writes and lists what there is.
func TestListAgainstAMap(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		s, want := memory.New(memory.Options{}), map[string]bool{}
		defer s.Close()
		for step := range 300 {
			key := fmt.Sprintf("%c/%02d", 'a'+rune(random.IntN(3)), random.IntN(20))
			op := store.Put(key, nil)
			if op.Delete = random.IntN(3) == 0; op.Delete {
				delete(want, key)
			} else {
				want[key] = true
			}
			if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{op}}); err != nil {
				t.Fatal(err)
			}
			if random.IntN(4) > 0 {
				continue
			}
			prefix := []string{"", "a/", "b/1", "c/", "d"}[random.IntN(5)]
			var keys, got []string
			for _, k := range slices.Sorted(maps.Keys(want)) {
				if strings.HasPrefix(k, prefix) {
					keys = append(keys, k)
				}
			}
			for o := (store.ListOptions{Limit: 7}); ; {
				page, err := s.List(t.Context(), prefix, o)
				if err != nil {
					t.Fatal(err)
				}
				for _, kv := range page.KVs {
					got = append(got, kv.Key)
				}
				if o.From, o.Revision = page.Next, page.Revision; page.Next == "" {
					break
				}
			}
			if !slices.Equal(got, keys) {
				t.Fatalf("seed %d, step %d: keys with %q: %v, want %v", seed, step, prefix, got, keys)
			}
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := memory.New(memory.Options{History: 3})
	defer s.Close()
	for i := range 10 {
		if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("k", fmt.Append(nil, i))}}); err != nil {
			t.Fatal(err)
		}
	}
	if b := <-s.Watch(t.Context(), "", 2); !errors.Is(b.Err, store.ErrCompacted) {
		t.Fatalf("watch from a forgotten revision: %+v, want ErrCompacted", b)
	}
	if _, err := s.List(t.Context(), "", store.ListOptions{Revision: 2}); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("list at a forgotten revision: %v, want ErrCompacted", err)
	}
}

func TestDown(t *testing.T) {
	s := memory.New(memory.Options{})
	defer s.Close()
	s.SetDown(true)
	if _, err := s.Get(context.Background(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	s.SetDown(false)
	if _, err := s.Get(context.Background(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
}
