package audit

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, s store.Store, e api.AuditEntry) {
	t.Helper()
	op, err := Op(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{op}}); err != nil {
		t.Fatal(err)
	}
}

func TestListIsInOrderOfTheStore(t *testing.T) {
	s := memory.New(memory.Options{})
	defer s.Close()
	for i := range 20 { // the clock runs backwards, and twice shows the same
		write(t, s, api.AuditEntry{Time: noon.Add(-time.Duration(i/2) * time.Second), Node: api.NodeID(fmt.Sprint(i % 2)), Detail: fmt.Sprint(i)})
	}
	all, err := List(t.Context(), s, Query{})
	if err != nil || len(all) != 20 {
		t.Fatalf("%d entries, %v; want 20", len(all), err)
	}
	for i, e := range all {
		if e.Detail != fmt.Sprint(i) || i > 0 && e.Seq <= all[i-1].Seq {
			t.Fatalf("entry %d is %+v", i, e)
		}
		if e.Node == "1" && i == 19 && e.Detail != "19" {
			t.Fatal("not the newest last")
		}
	}
	one, err := List(t.Context(), s, Query{Node: "1"})
	if err != nil || len(one) != 10 {
		t.Fatalf("%d entries of one node, %v; want 10", len(one), err)
	}
	mustLink(t, s)
	if n, err := Prune(t.Context(), s, 5); err != nil || n != 15 {
		t.Fatalf("pruned %d, %v; want 15", n, err)
	}
	if left, _ := List(t.Context(), s, Query{}); len(left) != 5 {
		t.Fatalf("%d left, want 5", len(left))
	}
}

func TestFloodCostsLittle(t *testing.T) {
	c := NewCoalescer()
	written, now := 0, noon
	const refusals = 100_000
	for i := range refusals { // ten seconds, each from another source
		now = noon.Add(time.Duration(i) * 100 * time.Microsecond)
		if c.Add(fmt.Sprint("source ", i), api.AuditEntry{Action: "unlock", Reason: "r"}, now) {
			written++
		}
	}
	if written > burst+20*perSecond || len(c.kinds) > maxTracked {
		t.Fatalf("%d entries and %d kinds in memory", written, len(c.kinds))
	}
	due := c.Due(now.Add(Window), false)
	if len(due) != 1 || !strings.HasPrefix(due[0].Detail, fmt.Sprint(refusals-written)) {
		t.Fatalf("the rest: %+v, want one entry about %d", due, refusals-written)
	}
}

func TestEqualRefusalsAreCounted(t *testing.T) {
	c := NewCoalescer()
	e := api.AuditEntry{Actor: "192.168.7.9", Action: "unlock", Reason: "waits for approval", Node: "020000000001"}
	for i := range 30 {
		if first := c.Add("192.168.7.9", e, noon.Add(time.Duration(i)*2*time.Second)); first != (i == 0) {
			t.Fatalf("refusal %d written: %t", i, first)
		}
	}
	if due := c.Due(noon.Add(59*time.Second), false); len(due) != 0 {
		t.Fatalf("summed up too early: %+v", due)
	}
	due := c.Due(noon.Add(Window), false)
	if len(due) != 1 || due[0].Detail != "29 more of the same since 2026-11-23T12:00:00Z" {
		t.Fatalf("got %+v", due)
	}
	if !c.Add("192.168.7.9", e, noon.Add(Window)) {
		t.Fatal("after the window the next one is not written")
	}
	if len(c.Due(noon, true)) != 0 {
		t.Fatal("nothing was held back, and yet something is due")
	}
}

// What was counted under a clock that was ahead does not wait for it.
func TestRefusalsOfAClockThatWasAhead(t *testing.T) {
	c := NewCoalescer()
	e := api.AuditEntry{Actor: "192.168.7.9", Action: "unlock", Reason: "waits for approval", Node: "020000000001"}
	for range 3 {
		c.Add("192.168.7.9", e, noon.Add(240*time.Hour))
	}
	if due := c.Due(noon, false); len(due) != 1 {
		t.Fatalf("got %+v, want the sum of what was counted", due)
	}
	if !c.Add("192.168.7.9", e, noon) {
		t.Fatal("the next one is not written")
	}
}
