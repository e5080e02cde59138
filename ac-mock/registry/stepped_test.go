package registry

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/audit/chain"
	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

// memoryRoot is a root that lies in memory.
type memoryRoot struct{ text []byte }

func (m *memoryRoot) Read() ([]byte, error) {
	if m.text == nil {
		return nil, fs.ErrNotExist
	}
	return m.text, nil
}
func (m *memoryRoot) Create(text []byte) error { m.text = text; return nil }
func (m *memoryRoot) String() string           { return "memory" }

// stepped is a grid whose ACs do nothing on their own.
type stepped struct {
	t      testing.TB
	now    time.Time
	random *rand.ChaCha8
	root   *memoryRoot
	store  *memory.Store
	mode   enrol.Mode
	acs    []*steppedAC
	told   strings.Builder // everything that anybody got to see
}

type steppedAC struct {
	client *memory.Client
	ca     *ca.CA
	r      *Registry
	next   time.Time
	behind bool // it has lost sight of the store
}

func newStepped(t testing.TB, seed byte, acs int) *stepped {
	g := &stepped{
		t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), random: rand.NewChaCha8([32]byte{seed}),
		root: &memoryRoot{}, store: memory.New(memory.Options{}), mode: enrol.ModeOpen,
	}
	for range acs {
		a := &steppedAC{client: g.store.Client()}
		g.acs = append(g.acs, a)
		g.start(a)
	}
	return g
}

func (g *stepped) newKey() (crypto.Signer, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, err := g.random.Read(seed)
	return ed25519.NewKeyFromSeed(seed), err
}

// start starts an AC, for the first time or after a crash.
func (g *stepped) start(a *steppedAC) {
	g.t.Helper()
	sealer, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		g.t.Fatal(err)
	}
	clock := func() time.Time { return g.now }
	a.ca, err = ca.New(context.Background(), ca.Options{
		Store: a.client, Seal: sealer, Grid: "lab", Clock: clock, Rand: g.random, NewKey: g.newKey, Root: g.root,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	limits := enrol.DefaultLimits()
	limits.RecordRate, limits.RecordBurst = 100, 100
	a.r, err = New(context.Background(), Options{
		Store: a.client, Seal: sealer, CA: a.ca, Grid: "lab", Clock: clock, Rand: g.random, Limits: limits,
		Policy: enrol.Policy{Mode: g.mode},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	a.next, a.behind = g.now, false
}

// news brings an AC up to date, as the goroutines of Open would.
func (g *stepped) news(n int) {
	a, ctx := g.acs[n], context.Background()
	b := g.store.Since("", a.r.Revision()+1)
	if a.behind {
		b.Err = store.ErrCompacted
	}
	a.behind = false
	if err := a.r.Take(b); err != nil {
		a.behind = a.r.Reload(ctx) != nil
	}
	if err := a.ca.Take(ctx, b); err != nil {
		a.behind = a.ca.Sync(ctx) != nil || a.behind
	}
	for _, id := range a.r.TakeRevoked() {
		g.tell("AC %d ends the session of %s", n, id)
	}
}

func (g *stepped) settle(n int) {
	if a := g.acs[n]; !g.now.Before(a.next) || len(a.r.refusals) > 0 {
		a.next = a.r.Settle(context.Background())
	}
}

func (g *stepped) tell(format string, args ...any) {
	fmt.Fprintf(&g.told, format+"\n", args...)
}

// steppedNode is a node as far as the ACs see it.
type steppedNode struct {
	peer   string
	device []byte
	claim  api.Claim
	csr    []byte
}

func newSteppedNode(t testing.TB, n int) *steppedNode {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 16))
	csr, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &steppedNode{
		peer: fmt.Sprintf("10.0.%d.%d:1", n>>8, n&255), device: key.Public().(ed25519.PublicKey), csr: csr,
		claim: api.Claim{MACs: []string{fmt.Sprintf("02:00:00:00:%02x:%02x", n>>8, n&255)}, Hostname: fmt.Sprint("node-", n), BootID: fmt.Sprintf("%032x", n+1)},
	}
}

func (m *steppedNode) id() api.NodeID { id, _ := api.IDOf(m.claim.MACs[0]); return id }

func (m *steppedNode) unlock(r *Registry) (api.Unlocked, error) {
	m.claim.Counter++
	u, err := r.Unlock(context.Background(), m.peer, m.device, m.claim)
	if err == nil {
		m.claim.Generations = []uint32{u.Shares[len(u.Shares)-1].Generation}
		err = r.Confirm(context.Background(), m.peer, m.device, api.Confirm{NodeID: m.id(), Generation: m.claim.Generations[0]})
	}
	return u, err
}

func (m *steppedNode) certify(r *Registry) (api.Issued, error) {
	m.claim.Counter++
	return r.Certificate(context.Background(), m.peer, m.device, api.CSR{NodeID: m.id(), DER: m.csr, BootID: m.claim.BootID, Counter: m.claim.Counter})
}

// random plays steps that a seed chooses, and returns all that was seen.
func playSteps(t *testing.T, seed byte, steps int) string {
	g := newStepped(t, seed, 3)
	choose := rand.New(rand.NewPCG(uint64(seed), 2))
	nodes := make([]*steppedNode, 20)
	for n := range nodes {
		nodes[n] = newSteppedNode(t, n)
	}
	for range steps {
		ac, m := choose.IntN(len(g.acs)), nodes[choose.IntN(len(nodes))]
		g.now = g.now.Add(time.Duration(choose.IntN(4000)) * time.Millisecond)
		g.step(choose.IntN(20), ac, m)
		g.news(choose.IntN(len(g.acs)))
		for n := range g.acs {
			g.settle(n)
		}
	}
	return g.end()
}

func (g *stepped) step(what, n int, m *steppedNode) {
	a, ctx := g.acs[n], context.Background()
	switch what {
	case 0:
		a.client.SetDown(true)
	case 1, 2:
		a.client.SetDown(false)
	case 3:
		a.client.SetLossy(true)
	case 4, 5:
		a.client.SetLossy(false)
	case 6:
		a.client.SetDown(false)
		a.client.SetLossy(false)
		g.start(a)
		g.tell("AC %d starts", n)
	case 7:
		_, err := a.r.Revoke(ctx, admin, string(m.id()))
		g.tell("revoke %s at %d: %v", m.id(), n, err)
	case 8:
		_, err := a.r.Suspect(ctx, admin, string(m.id()), "a test")
		g.tell("suspect %s at %d: %v", m.id(), n, err)
	case 9, 10:
		_, err := a.r.Approve(ctx, admin, string(m.id()))
		g.tell("approve %s at %d: %v", m.id(), n, err)
	case 11, 12, 13:
		i, err := m.certify(a.r)
		g.tell("certificate of %s at %d: %s %v", m.id(), n, i.Chain, err)
	case 14, 15:
		a.r.Seen(m.id(), api.Whereabouts{Phase: managed}, what == 14)
	default:
		u, err := m.unlock(a.r)
		g.tell("unlock of %s at %d: %+v %v", m.id(), n, u, err)
		for _, s := range u.Shares {
			g.tell("  %x", []byte(s.Share))
		}
	}
}

// end heals everything, and compares what the ACs know.
func (g *stepped) end() string {
	ctx := context.Background()
	for _, a := range g.acs {
		a.client.SetDown(false)
		a.client.SetLossy(false)
		if err := a.r.Flush(ctx); err != nil {
			g.t.Fatal(err)
		}
	}
	var views []string
	for n, a := range g.acs {
		g.news(n)
		nodes, err := a.r.Nodes(ctx)
		if err != nil {
			g.t.Fatal(err)
		}
		for i := range nodes { // where they are is each AC's own view
			nodes[i].Phase, nodes[i].LastSeen = "", nil
		}
		views = append(views, string(encode(g.t, nodes)))
	}
	if views[0] != views[1] || views[0] != views[2] {
		g.t.Errorf("the ACs do not agree:\n%s", strings.Join(views, "\n"))
	}
	if _, err := chain.Verify(func(after uint64) (api.AuditChain, error) { return g.acs[1].r.AuditChain(ctx, after) }, api.AuditMark{}); err != nil {
		g.t.Error(err)
	}
	entries, err := g.acs[0].r.Audit(ctx, "", 0, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.tell("%s\n%s", views[0], encode(g.t, entries))
	for _, e := range g.store.Since("", 2).Events { // what is sealed is not the same twice
		g.tell("%d %s %t", e.Modified, e.Key, e.Deleted)
	}
	return g.told.String()
}

func TestSameStepsSameEffects(t *testing.T) {
	for seed := range byte(5) {
		first, second := playSteps(t, seed, 600), playSteps(t, seed, 600)
		if first != second {
			a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("seed %d, line %d:\n%s\n%s", seed, i, a[i], b[i])
				}
			}
			t.Fatalf("seed %d: %d and %d lines", seed, len(a), len(b))
		}
		for _, want := range []string{"ends the session", "starts", store.ErrUnavailable.Error(), "BEGIN CERTIFICATE"} {
			if !strings.Contains(first, want) {
				t.Errorf("seed %d: nowhere %q", seed, want)
			}
		}
	}
}

func TestSettleIsInTime(t *testing.T) {
	g := newStepped(t, 1, 1)
	r, m := g.acs[0].r, newSteppedNode(t, 1)
	if _, err := m.unlock(r); err != nil {
		t.Fatal(err)
	}
	r.Seen(m.id(), api.Whereabouts{Phase: managed}, true)
	seen := func() error { _, err := g.store.Get(t.Context(), keySeen+string(m.id())); return err }
	next := r.Settle(t.Context())
	if want := g.now.Add(linkEvery); !next.Equal(want) {
		t.Errorf("next at %v, want %v: there are entries to be tied", next, want)
	}
	g.now = g.now.Add(linkEvery)
	next = r.Settle(t.Context())
	if want := g.now.Add(writeBackEvery - linkEvery); !next.Equal(want) {
		t.Errorf("next at %v, want %v", next, want)
	}
	if c, err := r.AuditChain(t.Context(), 0); err != nil || c.Waiting != 0 || c.Head.Seq == 0 {
		t.Errorf("the chain is %+v, %v", c, err)
	}
	if err := seen(); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("whereabouts are written before their time: %v", err)
	}
	g.now = g.now.Add(writeBackEvery - linkEvery)
	if next = r.Settle(t.Context()); !next.After(g.now) {
		t.Errorf("next at %v, it is %v", next, g.now)
	}
	if err := seen(); err != nil {
		t.Errorf("whereabouts are not written in time: %v", err)
	}
}
