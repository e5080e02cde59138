package cluster

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

const patience = 30 * time.Second

// fakeMembers is a membership that is written down.
type fakeMembers struct{ all []etcd.Member }

func (f *fakeMembers) Members(context.Context) ([]etcd.Member, error) { return f.all, nil }
func (f *fakeMembers) Self() uint64                                   { return 1 }

func (f *fakeMembers) AddMember(_ context.Context, peer string) (etcd.Member, error) {
	m := etcd.Member{ID: uint64(len(f.all) + 1), PeerURL: peer, Learner: true}
	f.all = append(f.all, m)
	return m, nil
}

func (f *fakeMembers) RemoveMember(_ context.Context, id uint64) error {
	for i, m := range f.all {
		if m.ID == id {
			f.all = append(f.all[:i:i], f.all[i+1:]...)
		}
	}
	return nil
}

// run starts an AC's view; the returned function ends it.
func run(t *testing.T, s *memory.Store, m Members, name string) (*Cluster, func()) {
	t.Helper()
	c := New(Options{
		Store: s.Client(), Members: m, Name: name, URL: "https://" + name, Segments: []string{"isolated"},
		Sessions: func() int { return 7 }, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	end := func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return c, end
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: ", what)
		}
	}
}

func stateOf(t *testing.T, c *Cluster, name string) api.ACState {
	t.Helper()
	ac, err := c.find(t.Context(), name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	return ac.State
}

// Two ACs know of each other; one of them has the address; when it is drained,
// or takes leave, the other has it.
func TestTwo(t *testing.T) {
	s := memory.New(memory.Options{})
	members := &fakeMembers{all: []etcd.Member{{ID: 1, Name: "ac1", PeerURL: "https://1", Leader: true}, {ID: 2, Name: "ac2", PeerURL: "https://2"}}}
	one, endOne := run(t, s, members, "ac1")
	until(t, "the first one has the address", func() bool { return one.Held("isolated") })
	two, endTwo := run(t, s, members, "ac2")
	until(t, "they know of each other", func() bool { return len(one.Others()) == 1 && len(two.Others()) == 1 })
	if two.Held("isolated") {
		t.Error("both have the address")
	}
	if !one.Heard("isolated") || two.Heard("isolated") {
		t.Error("who has the address does not defend it, or who has not does")
	}

	if _, err := two.Drain(t.Context(), "ac1", true); err != nil {
		t.Fatal(err)
	}
	until(t, "the address goes to the other", func() bool { return two.Held("isolated") && !one.Held("isolated") && one.Draining() })
	if _, err := one.Drain(t.Context(), "ac2", true); !errors.Is(err, ErrLast) {
		t.Errorf("the last one that serves is drained: %v", err)
	}
	if _, err := two.Drain(t.Context(), "ac1", false); err != nil {
		t.Fatal(err)
	}
	until(t, "it serves again", func() bool { return stateOf(t, two, "ac1") == api.ACServing })
	endTwo()
	until(t, "who took leave is down, and what it had is free", func() bool { return stateOf(t, one, "ac2") == api.ACDown && one.Held("isolated") })
	endOne()
}

func TestAddAndRemove(t *testing.T) {
	s := memory.New(memory.Options{})
	members := &fakeMembers{all: []etcd.Member{{ID: 1, Name: "ac1", PeerURL: "https://1", Leader: true}}}
	c, end := run(t, s, members, "ac1")
	defer end()
	until(t, "it is there", func() bool { return c.Alive("ac1") })
	if err := c.Remove(t.Context(), "ac1"); !errors.Is(err, ErrLast) {
		t.Errorf("the only one is removed: %v", err)
	}
	if _, err := c.Add(t.Context(), api.NewAC{Name: "ac2", PeerURL: "https://2"}); err != nil {
		t.Fatal(err)
	}
	until(t, "it has its name before it starts", func() bool { return stateOf(t, c, "ac2") == api.ACJoining })
	for _, n := range []api.NewAC{{Name: "ac2", PeerURL: "https://3"}, {Name: "ac3", PeerURL: "https://2"}} {
		if _, err := c.Add(t.Context(), n); !errors.Is(err, ErrExists) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if err := c.Remove(t.Context(), "ac9"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an AC that nobody knows: %v", err)
	}
	if err := c.Remove(t.Context(), "ac2"); err != nil || len(members.all) != 1 {
		t.Errorf("%v, %v are left", err, members.all)
	}
	alone := New(Options{Store: s.Client(), Name: "ac1", Sessions: func() int { return 0 }, Log: slog.New(slog.DiscardHandler)})
	if _, err := alone.Add(t.Context(), api.NewAC{Name: "ac2", PeerURL: "https://2"}); !errors.Is(err, ErrForeign) {
		t.Errorf("in somebody else's store: %v", err)
	}
}
