package memory_test

import (
	"context"
	"errors"
	"fmt"
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
