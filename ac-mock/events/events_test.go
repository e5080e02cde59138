package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

// acs are Logs of several ACs on one store, and what they have acknowledged.
type acs struct {
	*testing.T
	store store.Store
	logs  []*Log
	mu    sync.Mutex
	acked map[api.NodeID]uint64
}

func newACs(t *testing.T, count int) *acs {
	a := &acs{T: t, store: memory.New(memory.Options{}), acked: map[api.NodeID]uint64{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range count {
		l := New(Options{Store: a.store, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Ack: func(id api.NodeID, seq uint64) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.acked[id] = max(a.acked[id], seq)
		}})
		a.logs = append(a.logs, l)
		wg.Go(func() { l.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); wg.Wait(); _ = a.store.Close() })
	synctest.Wait()
	return a
}

func (a *acs) seq(id api.NodeID) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.acked[id]
}

func event(seq int) api.NodeEvent {
	return api.NodeEvent{Seq: uint64(seq), Time: time.Unix(int64(seq), 0), Level: 7, Source: "core", Text: fmt.Sprint("event ", seq)}
}

// read is what an AC shows, in short.
func (a *acs) read(l *Log, q Query) (list []string, last string) {
	a.Helper()
	found, _, err := l.Read(q)
	if err != nil {
		a.Fatal(err)
	}
	for _, e := range found {
		list, last = append(list, fmt.Sprint(e.Node, " ", e.Seq)), e.Cursor
	}
	return list, last
}

// An event that is sent to one AC, and again to another, is there once, in one
// order at all of them.
func TestOnceWhereverItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newACs(t, 2)
		for i := range 10 {
			a.logs[0].Take("a", event(i+1))
		}
		synctest.Wait()
		if a.seq("a") != 10 {
			t.Errorf("acknowledged up to %d", a.seq("a"))
		}
		for i := range 12 {
			a.logs[1].Take("a", event(i+1))
		}
		a.logs[0].Take("b", event(1))
		synctest.Wait()
		one, _ := a.read(a.logs[0], Query{})
		two, last := a.read(a.logs[1], Query{})
		if len(one) != 13 || fmt.Sprint(one) != fmt.Sprint(two) || a.seq("a") != 12 {
			t.Errorf("%v and %v", one, two)
		}
		// A cursor of one AC goes on at the other.
		a.logs[1].Take("b", event(2))
		synctest.Wait()
		if rest, _ := a.read(a.logs[0], Query{After: last}); fmt.Sprint(rest) != "[b 2]" {
			t.Errorf("after %s comes %v", last, rest)
		}
		// A node that lost its disk counts anew.
		again := event(1)
		again.Time = again.Time.Add(time.Hour)
		a.logs[0].Take("a", again)
		synctest.Wait()
		if list, _ := a.read(a.logs[1], Query{Node: "a"}); len(list) != 13 {
			t.Errorf("of a that began anew: %v", list)
		}
	})
}

func TestQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newACs(t, 1)
		for i := range 6 {
			e := event(i + 1)
			e.Level = 7 + i%2
			a.logs[0].Take(api.NodeID("ab"[i%2:i%2+1]), e)
		}
		synctest.Wait()
		for _, c := range []struct {
			q    Query
			want int
		}{{Query{}, 6}, {Query{Level: 8}, 3}, {Query{Node: "a"}, 3}, {Query{Node: "a", Level: 8}, 0}, {Query{Limit: 2}, 2}, {Query{Node: "c"}, 0}} {
			list, _ := a.read(a.logs[0], c.q)
			if len(list) != c.want {
				t.Errorf("%+v: %v, want %d", c.q, list, c.want)
			}
			if all, _ := a.read(a.logs[0], Query{}); c.q.Limit > 0 && list[1] != all[5] {
				t.Errorf("the newest are %v", list)
			}
		}
		for _, bad := range []string{"x", "1", "-1.a", "1.", ".a"} {
			if _, _, err := a.logs[0].Read(Query{After: bad}); err == nil {
				t.Errorf("cursor %q is taken", bad)
			}
		}
	})
}

// Without a quorum nothing is acknowledged and nothing is lost, and what is
// known is shown.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newACs(t, 1)
		a.logs[0].Take("a", event(1))
		synctest.Wait()
		down := a.store.(*memory.Store)
		down.SetDown(true)
		a.logs[0].Take("a", event(2))
		synctest.Wait()
		if list, _ := a.read(a.logs[0], Query{}); a.seq("a") != 1 || len(list) != 1 {
			t.Errorf("acknowledged %d, shown %v", a.seq("a"), list)
		}
		down.SetDown(false)
		time.Sleep(3 * retryAfter)
		synctest.Wait()
		if list, _ := a.read(a.logs[0], Query{}); a.seq("a") != 2 || len(list) != 2 {
			t.Errorf("then acknowledged %d, shown %v", a.seq("a"), list)
		}
	})
}

// However many come, so many are kept; a node that says much loses its own.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newACs(t, 2)
		a.logs[0].Take("calm", event(1))
		synctest.Wait()
		nodes := Most/PerNode + 3
		for i := range PerNode + 50 {
			for n := range nodes {
				a.logs[n%2].Take(api.NodeID(fmt.Sprint("n", n)), event(i+1))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		all, _ := a.read(a.logs[0], Query{})
		if len(all) > Most || len(all) < Most-100 {
			t.Errorf("%d are kept, want %d", len(all), Most)
		}
		if list, _ := a.read(a.logs[0], Query{Node: "calm"}); len(list) != 1 {
			t.Error("the only event of a calm node had to go")
		}
		if list, _ := a.read(a.logs[1], Query{Node: "n0"}); len(list) > PerNode || list[len(list)-1] != fmt.Sprint("n0 ", PerNode+50) {
			t.Errorf("of one node %d are kept, the last is %s", len(list), list[len(list)-1])
		}
	})
}
