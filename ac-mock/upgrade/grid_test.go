package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/rotate"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/ac-mock/upgrade/rollout"
	"github.com/g8os/g8os/core/api"
)

// grid is what ACs share: a store, a book, and nodes with a session at one of them.
type grid struct {
	t     *testing.T
	store store.Store
	noted func(what string) // when the book notes something

	mu    sync.Mutex
	now   time.Time
	ids   int
	nodes map[api.NodeID]*node
	asked []string // "AC NODE", in order
}

type node struct {
	at     string                                               // the AC with its session
	answer func(ctx context.Context, n int) (api.JobRun, error) // the n-th time, from 1; nil: it succeeds
	asked  int
	job    api.ExecRequest // the last
}

func newGrid(t *testing.T, nodes int, acs ...string) *grid {
	m := memory.New(memory.Options{})
	t.Cleanup(func() { _ = m.Close() })
	g := &grid{t: t, store: m, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), nodes: map[api.NodeID]*node{}}
	for i := range nodes {
		g.nodes[api.NodeID(fmt.Sprint("n", i+1))] = &node{at: acs[i%len(acs)]}
	}
	return g
}

func (g *grid) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// The book.

func (g *grid) Fact(id api.NodeID) rotate.Fact {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[id]
	return rotate.Fact{Name: string(id), State: api.NodeEnrolled, Online: n != nil && n.at != ""}
}

func (g *grid) Resolve(context.Context, api.Address) (all []api.Node, _ error) {
	for id := range g.nodes {
		all = append(all, api.Node{ID: id})
	}
	return all, nil
}

func (g *grid) Note(_ context.Context, _, _ string, _ api.NodeID, detail string) error {
	if g.noted != nil {
		g.noted(detail)
	}
	return nil
}

// sessions are those with one AC.
type sessions struct {
	*grid
	ac string
}

func (s sessions) Online(id api.NodeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[id].at == s.ac
}

func (s sessions) Ask(ctx context.Context, id api.NodeID, _ string, req api.ExecRequest) (api.JobRun, error) {
	s.mu.Lock()
	n := s.nodes[id]
	n.asked++
	n.job = req
	times, answer := n.asked, n.answer
	s.asked = append(s.asked, s.ac+" "+string(id))
	s.mu.Unlock()
	if answer == nil {
		return api.JobRun{State: api.JobSuccess}, nil
	}
	return answer(ctx, times)
}

func (g *grid) ac(name string) *Driver {
	release := func(_ context.Context, sum string) (api.Release, error) {
		return api.Release{Version: "2.0", Sum: sum, Have: true}, nil
	}
	id := func() string {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ids++
		return fmt.Sprintf("%08d", g.ids)
	}
	return New(Options{
		Store: g.store, Book: g, Sessions: sessions{g, name}, Release: release, Clock: g.clock, ID: id,
		Log: slog.New(slog.DiscardHandler),
	})
}

func (g *grid) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// live has ACs step so many seconds; the answers to a step come before the next.
func (g *grid) live(seconds int, acs ...*Driver) {
	g.t.Helper()
	for range seconds {
		for _, d := range acs {
			if err := d.step(g.t.Context()); err != nil && !errors.Is(err, store.ErrConflict) {
				g.t.Fatal(err)
			}
			d.waiting.Wait()
		}
		g.mu.Lock()
		g.now = g.now.Add(time.Second)
		g.mu.Unlock()
	}
}

var request = api.UpgradeRequest{Sum: strings.Repeat("ab", 32), Canary: 1, StepPercent: 100, PauseMS: 10_000, HaltAfter: 1}

func (g *grid) start(d *Driver) api.Upgrade {
	g.t.Helper()
	u, err := d.Start(g.t.Context(), "ann", request)
	g.must(err)
	return u
}

// is fails unless the upgrade stands so, as any AC shows it.
func (g *grid) is(d *Driver, state rollout.State, proved int) api.Upgrade {
	g.t.Helper()
	u, err := d.Status(g.t.Context())
	g.must(err)
	if u.State != string(state) || u.Counts[api.UpgradeProved] != proved || len(u.Nodes) != len(g.nodes) {
		g.t.Fatalf("%s, %d of %d nodes proved, want %s, %d of %d: %+v", u.State, u.Counts[api.UpgradeProved], len(u.Nodes), state, proved, len(g.nodes), u)
	}
	return u
}
