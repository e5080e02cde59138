package ca_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 400e6, time.UTC)} }

type bench struct {
	clock *clock
	o     ca.Options
}

func setup(t *testing.T) *bench {
	t.Helper()
	root := t.TempDir()
	s := memory.New(memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	sealer, _, err := seal.Load(seal.Options{File: filepath.Join(root, "keys", "master.key"), DataDir: filepath.Join(root, "data")})
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	return &bench{clock: c, o: ca.Options{
		Store: s, Seal: sealer, Grid: "grid.example", Clock: c.Now,
		RootKey: filepath.Join(root, "keys", "root.pem"), DataDir: filepath.Join(root, "data"),
	}}
}

func (b *bench) open(t *testing.T) *ca.CA {
	t.Helper()
	c, err := ca.Open(t.Context(), b.o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const node = api.NodeID("020000000001")

func nodeIdentity() api.Identity {
	return api.Identity{Grid: "grid.example", Role: api.RoleNode, Name: string(node)}
}

func issue(t *testing.T, c *ca.CA) *x509.Certificate {
	t.Helper()
	leaf, _, err := c.Issue(nodeIdentity(), newKey(t).Public(), c.LeafLife(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func parseChain(t *testing.T, text []byte) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	return chain
}

func TestServerCertificateIsAnAC(t *testing.T) {
	b := setup(t)
	c := b.open(t)
	get, err := c.Server(ca.ServerOptions{Name: "ac1", DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := get(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.Certificate) != 2 {
		t.Fatalf("%d certificates on the wire, want leaf and issuing CA, without the root", len(cert.Certificate))
	}
	issuing, err := x509.ParseCertificate(cert.Certificate[1])
	if err != nil {
		t.Fatal(err)
	}
	pinned := x509.NewCertPool()
	if !pinned.AppendCertsFromPEM(c.RootPEM()) {
		t.Fatal("RootPEM holds no certificate")
	}
	chain := []*x509.Certificate{cert.Leaf, issuing}
	id, err := api.VerifyAC(chain, pinned, b.clock.Now())
	if err != nil || id.Name != "ac1" {
		t.Fatalf("as a node sees it: %v, %v", id, err)
	}
	if _, err := api.VerifyAC(chain, pinned, b.clock.Now().Add(-4*time.Minute)); err != nil {
		t.Fatalf("a clock four minutes behind: %v", err)
	}
	if err := cert.Leaf.VerifyHostname("localhost"); err != nil {
		t.Fatal(err)
	}
}

func TestServerCertificateRenewsItself(t *testing.T) {
	b := setup(t)
	c := b.open(t)
	get, err := c.Server(ca.ServerOptions{Name: "ac1"})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := get(nil)
	b.clock.Advance(ca.DefaultLeafLife/2 - 10*time.Minute)
	if same, _ := get(nil); same != first {
		t.Fatal("renewed before half life")
	}
	b.clock.Advance(20 * time.Minute)
	second, _ := get(nil)
	if second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Fatalf("after half life: good until %v, before %v", second.Leaf.NotAfter, first.Leaf.NotAfter)
	}
}

func TestNodeCertificate(t *testing.T) {
	b := setup(t)
	c := b.open(t)
	leaf, text, err := c.Issue(nodeIdentity(), newKey(t).Public(), c.LeafLife(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := api.VerifyClient([]*x509.Certificate{leaf}, c.ClientCAs(), b.clock.Now())
	if err != nil || id != nodeIdentity() {
		t.Fatalf("as an AC sees it: %v, %v", id, err)
	}
	if chain := parseChain(t, text); len(chain) != 2 || !chain[0].Equal(leaf) || chain[1].Subject.String() == chain[1].Issuer.String() {
		t.Fatalf("chain of %d, want leaf and issuing CA, without the root", len(chain))
	}
	if _, err := api.VerifyAC(parseChain(t, text), c.Pinned(), b.clock.Now()); !errors.Is(err, api.ErrNotAC) {
		t.Fatalf("a node's certificate passes for an AC's: %v", err)
	}
	if _, err := api.VerifyClient([]*x509.Certificate{leaf}, c.ClientCAs(), b.clock.Now().Add(c.LeafLife()+time.Second)); err == nil {
		t.Fatal("good for longer than its life")
	}
}

func TestForeignIdentityIsNotIssued(t *testing.T) {
	c := setup(t).open(t)
	id := nodeIdentity()
	id.Grid = "other.example"
	leaf, _, err := c.Issue(id, newKey(t).Public(), time.Hour, time.Time{})
	if err != nil {
		return
	}
	if _, err := api.VerifyClient([]*x509.Certificate{leaf}, c.ClientCAs(), leaf.NotBefore.Add(time.Minute)); err == nil {
		t.Fatal("an identity of another grid was issued, and holds")
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	c := setup(t).open(t)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []any{weak.Public(), small.Public(), nil, "text"} {
		if _, _, err := c.Issue(nodeIdentity(), k, time.Hour, time.Time{}); !errors.Is(err, ca.ErrKey) {
			t.Errorf("%T: %v, want ErrKey", k, err)
		}
	}
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	if _, _, err := c.Issue(nodeIdentity(), public, time.Hour, time.Time{}); err != nil {
		t.Errorf("Ed25519: %v", err)
	}
}

func TestOtherACsLearnOfDenials(t *testing.T) {
	b := setup(t)
	one, two := b.open(t), b.open(t)
	if string(one.RootPEM()) != string(two.RootPEM()) {
		t.Fatal("two ACs of one grid have two roots")
	}
	leaf, changed := issue(t, one), two.Changed()
	if _, err := b.o.Store.Txn(t.Context(), store.Txn{Then: []store.Op{one.DenySerial(leaf.SerialNumber, leaf.NotAfter)}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("the other AC was not told within a minute")
	}
	if err := two.Denied(leaf); !errors.Is(err, ca.ErrRevoked) {
		t.Fatalf("at the other AC: %v, want ErrRevoked", err)
	}
}

func TestRootMayBeTakenOffline(t *testing.T) {
	b := setup(t)
	first := b.open(t)
	if err := os.Remove(b.o.RootKey); err != nil {
		t.Fatal(err)
	}
	second := b.open(t)
	if string(first.RootPEM()) != string(second.RootPEM()) {
		t.Fatal("the root changed")
	}
	issue(t, second)
}

func TestIssuingCAIsReplacedInTime(t *testing.T) {
	b := setup(t)
	old := b.open(t)
	leaf := issue(t, old)
	b.clock.Advance(200 * 24 * time.Hour) // past its half
	late, err := old.Server(ca.ServerOptions{Name: "ac1"})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := late(nil)
	old.Tend(t.Context())
	if _, _, prepared := old.Issuing(); !prepared || string(issue(t, old).AuthorityKeyId) != string(leaf.AuthorityKeyId) {
		t.Fatalf("after half of its life: the next one is prepared: %t, and this one has to sign", prepared)
	}
	if err := os.Remove(b.o.RootKey); err != nil { // it is not needed for the rest
		t.Fatal(err)
	}
	b.clock.Advance(105 * 24 * time.Hour) // past five sixths
	renewed := b.open(t)
	fresh := issue(t, renewed)
	if string(fresh.AuthorityKeyId) == string(leaf.AuthorityKeyId) {
		t.Fatal("60 days before its end the issuing CA still signs")
	}
	// What the old one signed is good as long as it is accepted.
	for name, cert := range map[string]*x509.Certificate{"old": leaf, "new": fresh} {
		if _, err := api.VerifyClient([]*x509.Certificate{cert}, renewed.ClientCAs(), cert.NotBefore.Add(time.Hour)); err != nil {
			t.Errorf("leaf of the %s issuing CA: %v", name, err)
		}
	}
	if err := old.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, _ := late(nil)
	if string(after.Leaf.AuthorityKeyId) == string(before.Leaf.AuthorityKeyId) {
		t.Fatal("the AC's own certificate stays with the old issuing CA")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*testing.T, *bench)
		says string
	}{
		{"root key in the data folder", func(_ *testing.T, b *bench) { b.o.RootKey = filepath.Join(b.o.DataDir, "root.pem") }, "lies in the data folder"},
		{"bad grid name", func(_ *testing.T, b *bench) { b.o.Grid = "Grid/1" }, "grid name"},
		{"another grid's store", func(t *testing.T, b *bench) { _ = b.open(t).Close(); b.o.Grid = "other" }, "belongs to grid"},
		{"another master key", func(t *testing.T, b *bench) {
			_ = b.open(t).Close()
			b.o.Seal, _ = seal.New(make([]byte, seal.KeySize))
		}, "another master key"},
		{"damaged root key", func(t *testing.T, b *bench) {
			_ = os.WriteFile(b.o.RootKey, []byte("nonsense"), 0o600)
		}, "restore it from its copy"},
		{"root key others can read", func(t *testing.T, b *bench) {
			_ = os.WriteFile(b.o.RootKey, []byte("nonsense"), 0o600)
			_ = os.Chmod(b.o.RootKey, 0o644)
		}, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			c.harm(t, b)
			_, err := ca.Open(t.Context(), b.o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want an error with %q", err, c.says)
			}
		})
	}
}

func TestKilledBetweenKeyFileAndStore(t *testing.T) {
	b := setup(t)
	// The key file is made, the store write fails: as if killed in between.
	other := memory.New(memory.Options{})
	defer other.Close()
	o := b.o
	o.Store = &refuseWrites{other}
	if _, err := ca.Open(t.Context(), o); err == nil {
		t.Fatal("opened without a store to write to")
	}
	file, err := os.ReadFile(b.o.RootKey)
	if err != nil {
		t.Fatal(err)
	}
	if c := b.open(t); !strings.Contains(string(file), string(c.RootPEM())) {
		t.Fatal("the second start made another root")
	}
}
