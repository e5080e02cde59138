package registry

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

const admin = "spiffe://lab/operator/admin.ann"

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// grid is what the ACs of a test share.
type grid struct {
	t      *testing.T
	store  store.Store
	memory *memory.Store
	clock  *clock
	dir    string
}

func newGrid(t *testing.T) *grid {
	t.Helper()
	m := memory.New(memory.Options{})
	t.Cleanup(func() { _ = m.Close() })
	return &grid{t: t, store: m, memory: m, clock: &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}, dir: t.TempDir()}
}

// ac starts one AC of the grid.
func (g *grid) ac(mode enrol.Mode) *Registry {
	g.t.Helper()
	sealer, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		g.t.Fatal(err)
	}
	c, err := ca.Open(g.t.Context(), ca.Options{
		Store: g.store, Seal: sealer, Grid: "lab", Clock: g.clock.Now,
		RootKey: filepath.Join(g.dir, "keys", "root.pem"), DataDir: filepath.Join(g.dir, "data"),
	})
	if err != nil {
		g.t.Fatal(err)
	}
	r, err := Open(g.t.Context(), Options{
		Store: g.store, Seal: sealer, CA: c, Grid: "lab", Clock: g.clock.Now,
		Policy: enrol.Policy{Mode: mode}, AuthorizedKeys: []string{"ssh-ed25519 AAAA ann"},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = r.Close(); _ = c.Close() })
	return r
}

// machine is a node as far as an AC sees it.
type machine struct {
	t      *testing.T
	peer   string
	device []byte
	claim  api.Claim
}

func newMachine(t *testing.T, n int) *machine {
	return &machine{
		t: t, peer: fmt.Sprintf("192.168.7.%d:4711", n), device: bytes.Repeat([]byte{byte(n)}, 32),
		claim: api.Claim{
			MACs: []string{fmt.Sprintf("02:00:00:00:00:%02x", n)}, Hostname: fmt.Sprint("node-", n), BootID: fmt.Sprintf("%032x", n),
			Where: api.Whereabouts{Phase: "unlock", Way: "dhcp", Interface: "eth0", Address: fmt.Sprintf("192.168.7.%d/24", n)},
		},
	}
}

func (m *machine) id() api.NodeID { id, _ := api.IDOf(m.claim.MACs[0]); return id }

func (m *machine) unlock(r *Registry) (api.Unlocked, error) {
	m.claim.Counter++
	return r.Unlock(m.t.Context(), m.peer, m.device, m.claim)
}

func (m *machine) mustUnlock(r *Registry) api.Unlocked {
	m.t.Helper()
	u, err := m.unlock(r)
	if err != nil {
		m.t.Fatalf("unlock of %s: %v", m.id(), err)
	}
	return u
}

func (m *machine) mustConfirm(r *Registry, generation uint32) {
	m.t.Helper()
	if err := r.Confirm(m.t.Context(), m.peer, m.device, api.Confirm{NodeID: m.id(), Generation: generation}); err != nil {
		m.t.Fatal(err)
	}
	m.claim.Generations = []uint32{generation}
}

func (m *machine) csr() api.CSR {
	m.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k)
	if err != nil {
		m.t.Fatal(err)
	}
	m.claim.Counter++
	return api.CSR{NodeID: m.id(), DER: der, BootID: m.claim.BootID, Counter: m.claim.Counter}
}

func (m *machine) mustCertify(r *Registry) *x509.Certificate {
	m.t.Helper()
	issued, err := r.Certificate(m.t.Context(), m.peer, m.device, m.csr())
	if err != nil {
		m.t.Fatal(err)
	}
	block, _ := pem.Decode(issued.Chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		m.t.Fatal(err)
	}
	return leaf
}

// boot takes a machine all the way up.
func (m *machine) boot(r *Registry) *x509.Certificate {
	m.t.Helper()
	u := m.mustUnlock(r)
	m.mustConfirm(r, u.Shares[len(u.Shares)-1].Generation)
	return m.mustCertify(r)
}

func wantRefused(t *testing.T, r *Registry, err error, reason string) {
	t.Helper()
	if !errors.Is(err, api.ErrRefused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if strings.Contains(err.Error(), reason) {
		t.Fatalf("the refusal tells its reason: %v", err)
	}
	last := lastEntry(t, r)
	if last.Decision != "refused" || last.Reason != reason {
		t.Fatalf("last in the audit: %+v, want a refusal because %q", last, reason)
	}
}

func lastEntry(t *testing.T, r *Registry) api.AuditEntry {
	t.Helper()
	flush(t, r)
	entries, err := r.Audit(t.Context(), "", 0, 1)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d audit entries, %v", len(entries), err)
	}
	return entries[0]
}

func flush(t *testing.T, r *Registry) {
	t.Helper()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition that other goroutines bring about holds.
func eventually(t *testing.T, r *Registry, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changed := r.Watch(ctx)
	for !holds() {
		if _, ok := <-changed; !ok {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
