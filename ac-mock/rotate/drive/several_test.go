package drive

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// two starts a second AC with the first one's master key, and gives it half of
// the nodes.
func (g *grid) two() (one, two *ac) {
	g.t.Helper()
	one = g.ac("ac1")
	g.must(copyFile(g.dir+"/ac1/master", g.dir+"/ac2/master"))
	two = g.ac("ac2")
	i := 0
	for _, n := range g.nodes {
		n.at = []*ac{one, two}[i%2]
		i++
	}
	return one, two
}

func TestEachACRotatesTheNodesThatItHas(t *testing.T) {
	for _, k := range api.RotateKinds() {
		g := newGrid(t, 10)
		one, two := g.two()
		_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: k})
		g.must(err)
		if !g.live(60, two, one) {
			s, _ := one.driver.Status(t.Context())
			t.Fatalf("%s: not over: %+v", k, s)
		}
		if one.seal.ID() != two.seal.ID() {
			t.Errorf("%s: the ACs seal under different keys", k)
		}
		g.good(g.ac("ac1"), g.ac("ac2"))
	}
}

// A master key is not given up while an AC is away that has only the old one;
// the AC that comes back then, with its old file, takes part.
func TestAnACThatIsAwayIsWaitedFor(t *testing.T) {
	g := newGrid(t, 3)
	one, two := g.two()
	g.live(2, one, two) // both are known
	_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: api.RotateMaster})
	g.must(err)
	if g.live(200, one) {
		t.Fatal("over, without ac2")
	}
	list, err := one.driver.Status(t.Context())
	g.must(err)
	if len(list[0].Holders) != 2 || !strings.Contains(list[0].Holders[1].Why, "away") {
		t.Errorf("what is waited for: %+v", list[0].Holders)
	}
	two = g.ac("ac2") // with its old file
	if !g.live(30, one, two) {
		t.Error("ac2 is back, and the rotation comes to no end")
	}
	g.good(g.ac("ac1"), g.ac("ac2"))
}

// One that was removed is not waited for; one that joined is.
func TestWhoIsAMemberIsWaitedFor(t *testing.T) {
	g := newGrid(t, 3)
	one, two := g.two()
	g.live(2, one, two)
	members := []string{"ac1", "ac3"}
	one.driver.o.Members = func(context.Context) ([]string, error) { return slices.Clone(members), nil }
	_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: api.RotateMaster})
	g.must(err)
	if g.live(60, one) {
		t.Fatal("over, and ac3 has the old key only")
	}
	members = []string{"ac1"}
	if !g.live(30, one) {
		t.Error("ac2 and ac3 are removed, and the rotation waits for them")
	}
}

// An AC that stops after it could open with the new key finds its way also when
// all others are further.
func TestAnACThatComesBackLateOpensEverything(t *testing.T) {
	g := newGrid(t, 3)
	one, two := g.two()
	g.live(2, one, two)
	_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: api.RotateMaster})
	g.must(err)
	next, err := one.nextMaster()
	g.must(err)
	g.must(one.driver.o.Seal.Use(next)) // as if ac2 had been removed meanwhile
	g.must(one.driver.reseal(t.Context(), next))
	_ = two
	g.good(g.ac("ac2"))
}

func (a *ac) nextMaster() (seal.KeyID, error) {
	if err := a.driver.addMaster(a.g.t.Context()); err != nil {
		return seal.KeyID{}, err
	}
	return CatchUp(a.g.t.Context(), a.store, a.seal)
}

func TestPauseAsksNobodyAndResumeGoesOn(t *testing.T) {
	g := newGrid(t, 40)
	one := g.ac("ac1")
	for _, n := range g.nodes {
		n.at = one
	}
	_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: api.RotateUnlock})
	g.must(err)
	g.live(1, one)
	_, err = one.driver.Pause(t.Context(), admin, api.RotateUnlock)
	g.must(err)
	asked := len(g.asked)
	if g.live(60, one) || len(g.asked) != asked || asked == 0 || asked == 40 {
		t.Errorf("%d were asked before, %d while it was paused", asked, len(g.asked)-asked)
	}
	r, err := one.driver.Resume(t.Context(), admin, api.RotateUnlock)
	g.must(err)
	if r.Counts[api.RotateRemoved] != asked {
		t.Errorf("after the pause %v, want %d done", r.Counts, asked)
	}
	if !g.live(60, one) {
		t.Error("resumed, and not over")
	}
	if _, err := one.driver.Pause(t.Context(), admin, api.RotateUnlock); !errors.Is(err, ErrKind) {
		t.Errorf("pause of what is over: %v", err)
	}
}

func TestWhatCannotBeRotatedChangesNothing(t *testing.T) {
	g := newGrid(t, 2)
	one := g.ac("ac1")
	before, err := one.store.Revision(t.Context())
	g.must(err)
	for _, c := range []struct {
		r    api.RotateRequest
		want error
	}{
		{api.RotateRequest{Kind: "passwords"}, ErrKind},
		{api.RotateRequest{Kind: api.RotateCert, Nodes: []string{"nobody"}}, registry.ErrUnknown},
		{api.RotateRequest{Kind: api.RotateMaster, Nodes: []string{"node-0"}}, ErrNodes},
	} {
		if _, err := one.driver.Start(t.Context(), admin, c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.r, err)
		}
	}
	if after, err := one.store.Revision(t.Context()); err != nil || after != before {
		t.Errorf("the store has changed, %v", err)
	}
}

// A rotation that waits for a node that is away does not stand in the way of the
// next one, which takes the node along.
func TestTheNextRotationTakesAlongWhoIsNotDone(t *testing.T) {
	for _, k := range []api.RotateKind{api.RotateUnlock, api.RotateCA} {
		g := newGrid(t, 3)
		one := g.ac("ac1")
		var away *node
		other := ""
		for _, n := range g.nodes {
			if n.at = one; away == nil {
				n.at, away = nil, n
			} else {
				other = n.claim.Hostname
			}
		}
		_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: k})
		g.must(err)
		if g.live(60, one) {
			t.Fatal("over, without the node that is away")
		}
		r := api.RotateRequest{Kind: k}
		if k.OfNodes() {
			r.Nodes = []string{other}
		}
		_, err = one.driver.Start(t.Context(), admin, r)
		g.must(err)
		if g.live(60, one) {
			t.Fatalf("%s: over, and the node that was away still holds the old key", k)
		}
		away.at = one
		if !g.live(60, one) {
			t.Errorf("%s: not over", k)
		}
		g.good(g.ac("ac1"))
	}
}

// Nodes that are away are shown, and done when they are back.
func TestANodeThatIsAwayIsRotatedWhenItIsBack(t *testing.T) {
	g := newGrid(t, 3)
	one := g.ac("ac1")
	var away *node
	for _, n := range g.nodes {
		if n.at = one; away == nil {
			n.at, away = nil, n
		}
	}
	_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: api.RotateUnlock})
	g.must(err)
	if g.live(60, one) {
		t.Fatal("over, without the node that is away")
	}
	list, err := one.driver.Status(t.Context())
	g.must(err)
	if h := list[0].Holders; len(h) != 1 || h[0].Name != away.claim.Hostname || h[0].Why != "it is away" {
		t.Errorf("who holds the old one: %+v", h)
	}
	g.now = g.now.Add(30 * 24 * time.Hour)
	away.at = one
	if !g.live(10, one) {
		t.Error("the node is back, and the rotation not over")
	}
}

func copyFile(from, to string) error {
	text, err := keyfile.Read(from)
	if err != nil {
		return err
	}
	return keyfile.Create(to, text)
}

// hooked is a book that says when it has noted something.
type hooked struct {
	Book
	noted func()
}

func (h *hooked) Note(ctx context.Context, actor, action string, id api.NodeID, detail string) error {
	h.noted()
	return h.Book.Note(ctx, actor, action, id, detail)
}

// Whoever of two operators is first, his rotation has all its nodes: the other
// one wrote down his own meanwhile.
func TestOfTwoWhoStartAtOnceOneIsRefused(t *testing.T) {
	g := newGrid(t, 6)
	one, two := g.two()
	ready, loser, won := make(chan bool), make(chan error), make(chan bool)
	two.driver.o.Book = &hooked{two.registry, func() { close(ready); <-won }}
	one.driver.o.Book = &hooked{one.registry, func() { // the first has prepared: so does the second, and waits
		go func() {
			_, err := two.driver.Start(t.Context(), admin, api.RotateRequest{Kind: api.RotateUnlock})
			loser <- err
		}()
		<-ready
	}}
	r, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: api.RotateUnlock})
	g.must(err)
	close(won)
	if err := <-loser; !errors.Is(err, ErrRunning) {
		t.Errorf("the second: %v", err)
	}
	one.driver.o.Book, two.driver.o.Book = one.registry, two.registry
	if len(r.Holders) != 6 {
		t.Errorf("begun with %+v", r)
	}
	keys, err := store.Keys(t.Context(), g.store, keyNode)
	g.must(err)
	if len(keys) != 6 || slices.ContainsFunc(keys, func(k string) bool { return !strings.HasPrefix(k, under(r.Kind, r.ID)) }) {
		t.Errorf("left in the store: %v", keys)
	}
	if !g.live(60, one, two) {
		t.Error("not over")
	}
	if len(g.asked) != 6 {
		t.Errorf("%d nodes were asked", len(g.asked))
	}
	g.good(g.ac("ac1"), g.ac("ac2"))
}
