package drive

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

const admin = "spiffe://lab/operator/admin.ann"

// grid is what ACs share, and the nodes.
type grid struct {
	t     *testing.T
	store *memory.Store
	dir   string
	now   time.Time
	nodes map[api.NodeID]*node
	asked map[api.NodeID]int
}

// node is a node as an AC sees it: the disk has generations, and so on.
type node struct {
	claim   api.Claim
	device  []byte
	deaf    bool // it hears nothing of what it is asked
	at      *ac  // where it has its session
	hostKey int
	does    []api.Rotate // asked, and not yet done
}

// ac is one AC, with a master key file of its own.
type ac struct {
	g        *grid
	name     string
	store    *failing
	seal     *seal.Sealer
	ca       *ca.CA
	registry *registry.Registry
	driver   *Driver
}

// failing is a store that fails after so many writes: the AC is killed there.
type failing struct {
	store.Store
	left int // below 0: never
}

var errKilled = errors.New("killed")

func (f *failing) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if f.left == 0 {
		return 0, errKilled
	}
	f.left--
	return f.Store.Txn(ctx, t)
}

func newGrid(t *testing.T, nodes int) *grid {
	m := memory.New(memory.Options{})
	t.Cleanup(func() { _ = m.Close() })
	g := &grid{
		t: t, store: m, dir: t.TempDir(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		nodes: map[api.NodeID]*node{}, asked: map[api.NodeID]int{},
	}
	one := g.ac("ac1")
	for i := range nodes {
		mac := fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255)
		id, _ := api.IDOf(mac)
		n := &node{device: bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 16), at: one, claim: api.Claim{
			MACs: []string{mac}, Hostname: fmt.Sprint("node-", i), BootID: fmt.Sprintf("%032x", i),
		}}
		g.nodes[id] = n
		_, err := n.unlock(one)
		g.must(errors.Join(err, n.confirm(one, id, api.Confirm{Generation: 1})))
		n.claim.Generations = []uint32{1}
		g.must(n.certify(one, id))
	}
	return g
}

// ac starts an AC, or starts it again.
func (g *grid) ac(name string) *ac {
	g.t.Helper()
	a := &ac{g: g, name: name, store: &failing{g.store, -1}}
	var err error
	file := filepath.Join(g.dir, name, "master")
	a.seal, _, err = seal.Load(seal.Options{File: file, DataDir: filepath.Join(g.dir, "none")})
	g.must(err)
	_, err = CatchUp(g.t.Context(), a.store, a.seal)
	g.must(err)
	clock := func() time.Time { return g.now }
	a.ca, err = ca.New(g.t.Context(), ca.Options{
		Store: a.store, Seal: a.seal, Grid: "lab", Clock: clock, RootKey: filepath.Join(g.dir, "root"), DataDir: filepath.Join(g.dir, "none"),
	})
	g.must(err)
	_, err = a.ca.Server(ca.ServerOptions{Name: name})
	g.must(err)
	unlimited := enrol.DefaultLimits()
	unlimited.SourceRate, unlimited.SourceBurst, unlimited.RecordRate, unlimited.RecordBurst = 1e6, 1e6, 1e6, 1e6
	a.registry, err = registry.New(g.t.Context(), registry.Options{
		Store: a.store, Seal: a.seal, CA: a.ca, Grid: "lab", Clock: clock, Policy: enrol.Policy{Mode: enrol.ModeOpen}, Limits: unlimited,
	})
	g.must(err)
	a.driver = New(Options{
		Grid: "lab", Name: name, Store: a.store, Seal: a.seal, CA: a.ca, Book: a.registry, Sessions: sessions{a}, Clock: clock,
	})
	return a
}

func (g *grid) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// sessions are those of the grid's nodes with one AC.
type sessions struct{ *ac }

func (s sessions) Online(id api.NodeID) bool { return s.g.nodes[id].at == s.ac }

func (s sessions) Rotate(id api.NodeID, r api.Rotate) {
	s.g.asked[id]++
	if n := s.g.nodes[id]; !n.deaf {
		n.does = append(n.does, r)
	}
}

func (n *node) unlock(a *ac) (api.Unlocked, error) {
	n.claim.Counter++
	return a.registry.Unlock(a.g.t.Context(), "192.168.7.1:4711", n.device, n.claim)
}

func (n *node) confirm(a *ac, id api.NodeID, c api.Confirm) error {
	c.NodeID = id
	return a.registry.Confirm(a.g.t.Context(), "192.168.7.1:4711", n.device, c)
}

func (n *node) certify(a *ac, id api.NodeID) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	a.g.must(err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	a.g.must(err)
	n.claim.Counter++
	csr := api.CSR{NodeID: id, DER: der, BootID: n.claim.BootID, Counter: n.claim.Counter}
	_, err = a.registry.Certificate(a.g.t.Context(), "192.168.7.1:4711", n.device, csr)
	return err
}

// act has every node do what it was asked, and answer.
func (g *grid) act() {
	g.t.Helper()
	for id, n := range g.nodes {
		does := n.does
		n.does = nil
		for _, r := range does {
			err := n.rotate(id, r)
			if err != nil && n.at.store.left != 0 {
				g.t.Fatalf("node %s: %v", id, err)
			}
			if r.Done = err == nil; err != nil {
				r.Error = err.Error()
			}
			n.at.driver.Answered(id, r)
		}
	}
}

// rotate does as core/node does; its AC may be gone in between.
func (n *node) rotate(id api.NodeID, r api.Rotate) error {
	switch r.Kind {
	case api.RotateCert:
		return n.certify(n.at, id)
	case api.RotateSSH:
		n.hostKey++
		return nil
	}
	n.claim.Generations = slices.Compact([]uint32{n.claim.Generations[0], r.Generation})
	if _, err := n.unlock(n.at); err != nil {
		return err
	}
	if err := n.confirm(n.at, id, api.Confirm{Generation: r.Generation}); err != nil {
		return err
	}
	n.claim.Generations = []uint32{r.Generation}
	return n.confirm(n.at, id, api.Confirm{Generation: r.Generation, Alone: true})
}

// follow hands an AC the news, as its watches do.
func (a *ac) follow() {
	_ = a.ca.Sync(a.g.t.Context())
	_ = a.registry.Reload(a.g.t.Context())
}

// live lets the ACs step and the nodes act, a second at a time, until the
// rotations are over; most seconds bounds it.
func (g *grid) live(most int, acs ...*ac) (over bool) {
	g.t.Helper()
	for range most {
		g.now = g.now.Add(time.Second)
		for _, a := range acs {
			a.follow()
			if err := a.driver.Step(g.t.Context()); err != nil && !errors.Is(err, errKilled) {
				g.t.Fatal(err)
			}
		}
		g.act()
		if g.over(acs[0]) {
			return true
		}
	}
	return false
}

func (g *grid) over(a *ac) bool {
	g.t.Helper()
	all, err := a.driver.campaigns(g.t.Context())
	g.must(err)
	return !slices.ContainsFunc(all, func(h held) bool { return h.Done.IsZero() })
}

// good fails unless every node is unlocked, by every AC, with what is on its disk.
func (g *grid) good(acs ...*ac) {
	g.t.Helper()
	for id, n := range g.nodes {
		for _, a := range acs {
			a.follow()
			if u, err := n.unlock(a); len(u.Shares) == 0 || u.NodeID != id || err != nil {
				g.t.Fatalf("node %s gets %d shares from %s: %v", id, len(u.Shares), a.name, err)
			}
		}
	}
}

func TestEachKindComesToItsEnd(t *testing.T) {
	for _, k := range api.RotateKinds() {
		t.Run(string(k), func(t *testing.T) {
			g := newGrid(t, 30)
			one := g.ac("ac1")
			for _, n := range g.nodes {
				n.at = one
			}
			master := one.seal.ID()
			r, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: k})
			g.must(err)
			if _, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: k}); !k.OfNodes() && !errors.Is(err, ErrRunning) {
				t.Errorf("a second one: %v", err)
			} else if k.OfNodes() {
				g.must(err)
			}
			if !g.live(60, one) {
				s, _ := one.driver.Status(t.Context())
				t.Fatalf("not over after a minute: %+v", s)
			}
			list, err := one.driver.Status(t.Context())
			if err != nil || len(list) != 1 || (list[0].ID != r.ID) != k.OfNodes() || list[0].Done == nil || len(list[0].Holders) != 0 {
				t.Fatalf("%+v, %v", list, err)
			}
			if changed := one.seal.ID() != master; changed != (k == api.RotateMaster) {
				t.Errorf("the master key has changed: %t", changed)
			}
			g.good(g.ac("ac1"))
			for id, asked := range g.asked {
				if asked != 1 {
					t.Errorf("node %s was asked %d times", id, asked)
				}
			}
			if _, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: k}); err != nil {
				t.Errorf("once more: %v", err)
			}
			if !g.live(60, one) {
				t.Error("the second one comes to no end")
			}
		})
	}
}

// Wherever an AC is killed, the same one started again, or another one, goes
// on, and every node is unlocked with what it has.
func TestAnACThatIsKilledAnywhere(t *testing.T) {
	for _, k := range api.RotateKinds() {
		t.Run(string(k), func(t *testing.T) {
			for after := 0; ; after++ {
				g := newGrid(t, 3)
				one := g.ac("ac1")
				for _, n := range g.nodes {
					n.at = one
				}
				_, err := one.driver.Start(t.Context(), admin, api.RotateRequest{Kind: k})
				g.must(err)
				one.store.left = after
				died := one.dies(20)
				one = g.ac("ac1")
				for _, n := range g.nodes {
					n.at = one
				}
				g.good(one)
				if !g.live(200, one) {
					s, _ := one.driver.Status(t.Context())
					t.Fatalf("killed after %d writes, then not over: %+v", after, s)
				}
				g.good(g.ac("ac1"))
				if !died {
					if after < 2 {
						t.Fatalf("a rotation takes %d writes only", after)
					}
					return
				}
			}
		})
	}
}

// dies lets an AC live until its store fails.
func (a *ac) dies(most int) bool {
	a.g.t.Helper()
	for range most {
		a.g.now = a.g.now.Add(time.Second)
		a.follow()
		if err := a.driver.Step(a.g.t.Context()); err != nil {
			return true
		}
		if a.store.left == 0 {
			return true
		}
		a.g.act()
		if a.g.over(a) {
			return false
		}
	}
	return false
}
