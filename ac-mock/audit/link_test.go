package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/audit/chain"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

func verify(t *testing.T, s store.Store, noted api.AuditMark) (chain.Report, error) {
	t.Helper()
	return chain.Verify(func(after uint64) (api.AuditChain, error) { return Chain(t.Context(), s, after) }, noted)
}

func mustLink(t *testing.T, s store.Store) int {
	t.Helper()
	n, err := Link(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// chained is a store with so many entries tied to its chain.
func chained(t *testing.T, n int) *memory.Store {
	t.Helper()
	s := memory.New(memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	for i := range n {
		write(t, s, api.AuditEntry{Time: noon.Add(time.Duration(i) * time.Second), Action: "unlock", Detail: fmt.Sprint(i)})
	}
	if got := mustLink(t, s); got != n {
		t.Fatalf("%d tied, want %d", got, n)
	}
	return s
}

// What is done to the store behind the ACs' back is found, and where.
func TestTamperingIsFound(t *testing.T) {
	put := func(t *testing.T, s store.Store, ops ...store.Op) {
		t.Helper()
		if _, err := s.Txn(t.Context(), store.Txn{Then: ops}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(t *testing.T, s store.Store, seq uint64) []byte {
		t.Helper()
		kv, err := s.Get(t.Context(), entryKey(seq))
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(kv.Value)
	}
	changed := func(raw []byte) []byte { return []byte(strings.Replace(string(raw), "unlock", "unlocK", 1)) }
	for what, c := range map[string]struct {
		do   func(*testing.T, store.Store)
		want string
	}{
		"nothing":            {func(*testing.T, store.Store) {}, ""},
		"an entry changed":   {func(t *testing.T, s store.Store) { put(t, s, store.Put(entryKey(7), changed(get(t, s, 7)))) }, "entry 8 does not continue entry 7"},
		"the newest changed": {func(t *testing.T, s store.Store) { put(t, s, store.Put(entryKey(100), changed(get(t, s, 100)))) }, "entry 100, the newest, was changed"},
		"an entry dropped":   {func(t *testing.T, s store.Store) { put(t, s, store.Delete(entryKey(50))) }, "entries 50 to 50 are missing"},
		"the oldest dropped": {func(t *testing.T, s store.Store) { put(t, s, store.Delete(entryKey(1))) }, "entries 1 to 1 are missing"},
		"the newest dropped": {func(t *testing.T, s store.Store) { put(t, s, store.Delete(entryKey(99)), store.Delete(entryKey(100))) }, "entries 99 to 100, the newest, are missing"},
		"two in another order": {func(t *testing.T, s store.Store) {
			put(t, s, store.Put(entryKey(20), get(t, s, 21)), store.Put(entryKey(21), get(t, s, 20)))
		}, "entries 20 to 20 are missing"},
		"two in another order, renumbered": {func(t *testing.T, s store.Store) {
			twenty := []byte(strings.Replace(string(get(t, s, 21)), `"seq":21`, `"seq":20`, 1))
			one := []byte(strings.Replace(string(get(t, s, 20)), `"seq":20`, `"seq":21`, 1))
			put(t, s, store.Put(entryKey(20), twenty), store.Put(entryKey(21), one))
		}, "entry 20 does not continue entry 19"},
		"one put in beyond the end": {func(t *testing.T, s store.Store) {
			raw, _, err := chain.Append(api.AuditMark{Seq: 100, Hash: "00"}, api.AuditEntry{})
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, store.Put(entryKey(101), raw))
		}, "entry 101 does not continue entry 100"},
		"garbage":           {func(t *testing.T, s store.Store) { put(t, s, store.Put(entryKey(3), []byte("{"))) }, "what follows entry 2 cannot be read"},
		"the anchor forged": {func(t *testing.T, s store.Store) { put(t, s, store.Put(keyAnchor, []byte(`{"seq":5,"hash":"00"}`))) }, "entry 6 does not continue entry 5"},
	} {
		t.Run(what, func(t *testing.T) {
			s := chained(t, 100)
			c.do(t, s)
			r, err := verify(t, s, api.AuditMark{})
			if c.want == "" {
				if err != nil || r.Entries != 100 || r.Head.Seq != 100 {
					t.Errorf("%+v, %v", r, err)
				}
				return
			}
			if !errors.Is(err, chain.ErrBroken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Who rewrites the whole chain is found by a mark that was noted before.
func TestNotedMark(t *testing.T) {
	honest, forged := chained(t, 100), chained(t, 120)
	r, err := verify(t, honest, api.AuditMark{})
	if err != nil {
		t.Fatal(err)
	}
	noted, err := chain.Parse(r.Head.String())
	if err != nil || noted != r.Head {
		t.Fatalf("%s reads as %s, %v", r.Head, noted, err)
	}
	if _, err := verify(t, forged, noted); err != nil {
		t.Errorf("a chain that goes on from the mark: %v", err)
	}
	other := chained(t, 99)
	write(t, other, api.AuditEntry{Time: noon, Action: "nothing happened"})
	mustLink(t, other)
	for what, s := range map[string]store.Store{"another history": other, "an older store": chained(t, 50)} {
		if _, err := verify(t, s, noted); !errors.Is(err, chain.ErrBroken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Prune(t.Context(), honest, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, honest, noted); err != nil {
		t.Errorf("after pruning: %v", err)
	}
	old := api.AuditMark{Seq: 3, Hash: noted.Hash}
	if _, err := verify(t, honest, old); !errors.Is(err, chain.ErrPruned) || errors.Is(err, chain.ErrBroken) {
		t.Errorf("a mark of an entry that was pruned: %v", err)
	}
	for _, text := range []string{"", "1", "0:" + noted.Hash, "x:" + noted.Hash, "1:abc"} {
		if m, err := chain.Parse(text); err == nil {
			t.Errorf("%q is the mark %v", text, m)
		}
	}
}

// Several ACs write, tie and prune at once, are cut off and lose answers: there
// is one chain, and it is whole.
func TestSeveralACsOneChain(t *testing.T) {
	const acs, entries = 4, 300
	s := memory.New(memory.Options{})
	defer s.Close()
	var wg sync.WaitGroup
	for ac := range acs {
		c, random := s.Client(), rand.New(rand.NewPCG(uint64(ac), 1))
		name := rand.NewChaCha8([32]byte{byte(ac)})
		wg.Go(func() {
			for i := range entries {
				c.SetLossy(random.IntN(4) == 0)
				op, err := Op(api.AuditEntry{Time: noon, Action: "unlock", Actor: fmt.Sprint(ac), Detail: fmt.Sprint(i)}, name)
				if err == nil {
					_, _ = c.Txn(t.Context(), store.Txn{Then: []store.Op{op}})
				}
				if random.IntN(3) == 0 {
					_, _ = Link(t.Context(), c)
				}
				if random.IntN(50) == 0 {
					_, _ = Prune(t.Context(), c, 1000)
				}
			}
		})
	}
	wg.Wait()
	mustLink(t, s)
	r, err := verify(t, s, api.AuditMark{})
	if err != nil || r.Head.Seq != acs*entries || r.Waiting != 0 {
		t.Fatalf("%+v, %v; want %d entries", r, err, acs*entries)
	}
	all, err := List(t.Context(), s, Query{})
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, e := range slices.Backward(all) { // what each AC wrote is in its order
		n, ok := next[e.Actor]
		if !ok {
			n = entries - 1
		}
		if e.Detail != fmt.Sprint(n) {
			t.Fatalf("AC %s: entry %s, want %d", e.Actor, e.Detail, n)
		}
		next[e.Actor] = n - 1
	}
}

// Numbers that were told before an entry was tied are those that it has then.
func TestNumbersStay(t *testing.T) {
	s := chained(t, 3)
	for i := range 5 {
		write(t, s, api.AuditEntry{Time: noon.Add(-time.Duration(i) * time.Hour), Detail: fmt.Sprint("late ", i)})
	}
	before, err := List(t.Context(), s, Query{After: 1})
	if err != nil || len(before) != 7 {
		t.Fatalf("%d entries, %v", len(before), err)
	}
	mustLink(t, s)
	after, err := List(t.Context(), s, Query{After: 1})
	if err != nil || len(after) != 7 {
		t.Fatalf("%d entries, %v", len(after), err)
	}
	for i := range after {
		if after[i].Prev == "" {
			t.Errorf("entry %d is not tied", after[i].Seq)
		}
		after[i].Prev, before[i].Prev = "", ""
		if after[i] != before[i] {
			t.Errorf("was %+v, is %+v", before[i], after[i])
		}
	}
	if last, err := List(t.Context(), s, Query{Limit: 2}); err != nil || len(last) != 2 || last[1].Detail != "late 4" {
		t.Errorf("the newest two: %+v, %v", last, err)
	}
}

// An entry that nobody can read does not hold up those after it.
func TestUnreadableEntry(t *testing.T) {
	s := chained(t, 1)
	if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(prefix+"0-broken", []byte("{"))}}); err != nil {
		t.Fatal(err)
	}
	write(t, s, api.AuditEntry{Time: noon, Detail: "after"})
	mustLink(t, s)
	if r, err := verify(t, s, api.AuditMark{}); err != nil || r.Entries != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	kv, err := s.Get(t.Context(), entryKey(2))
	if err != nil || !json.Valid(kv.Value) || !strings.Contains(string(kv.Value), "0-broken") {
		t.Errorf("%s, %v", kv.Value, err)
	}
}
