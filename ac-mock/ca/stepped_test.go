package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
)

// seeded makes the same keys in the same order.
func seeded() func() (crypto.Signer, error) {
	n := byte(0)
	return func() (crypto.Signer, error) {
		n++
		return ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), n)), nil
	}
}

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

// stepped are two ACs of one grid that do nothing on their own.
func stepped(t *testing.T) (s *memory.Store, one, two *ca.CA, clock *clock) {
	t.Helper()
	sealer, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s, clock = memory.New(memory.Options{}), newClock()
	o := ca.Options{
		Store: s, Seal: sealer, Grid: "grid.example", Clock: clock.Now, Root: &memoryRoot{},
		Rand: rand.NewChaCha8([32]byte{1}), NewKey: seeded(),
	}
	if one, err = ca.New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if two, err = ca.New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return s, one, two, clock
}

func public() any { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public() }

func TestSteppedCAsAgreeWhenTold(t *testing.T) {
	s, one, two, clock := stepped(t)
	leaf, _, err := one.Issue(nodeIdentity(), public(), time.Hour, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: two.ClientCAs(), CurrentTime: clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Fatalf("a certificate that the other AC issued: %v", err)
	}
	denial, _ := one.DenyNode(node, ca.IssuedAt(leaf))
	_, err = s.Txn(t.Context(), store.Txn{Then: []store.Op{denial, store.Put("other", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Denied(leaf); err != nil {
		t.Fatalf("denied before it was told: %v", err)
	}
	news := s.Since("", two.Revision()+1)
	if err := two.Take(t.Context(), store.Batch{Events: news.Events[1:], Revision: news.Revision}); err != nil {
		t.Fatal(err)
	}
	if err := two.Denied(leaf); err != nil {
		t.Fatalf("denied because another key has changed: %v", err)
	}
	if err := two.Take(t.Context(), news); err != nil {
		t.Fatal(err)
	}
	if err := two.Denied(leaf); !errors.Is(err, ca.ErrRevoked) {
		t.Fatalf("got %v, want ErrRevoked", err)
	}
	if err := two.Take(t.Context(), store.Batch{Err: store.ErrCompacted}); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("lost news: got %v", err)
	}
}

func TestTendForgetsInTime(t *testing.T) {
	s, one, _, clock := stepped(t)
	denial, _ := one.DenyNode(node, clock.Now())
	if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{denial}}); err != nil {
		t.Fatal(err)
	}
	denials := func() int {
		page, err := s.List(t.Context(), ca.Prefix+"deny/", store.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.KVs)
	}
	one.Tend(t.Context())
	if denials() != 1 {
		t.Fatal("a denial is forgotten before its time")
	}
	clock.Advance(one.LeafLife() + time.Minute)
	one.Tend(t.Context())
	if denials() != 0 {
		t.Fatal("a denial of what has expired is kept")
	}
}

func TestSameSeedSameCertificates(t *testing.T) {
	issue := func() []byte {
		_, _, two, _ := stepped(t)
		_, chain, err := two.Issue(nodeIdentity(), public(), time.Hour, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		own, err := two.IssueServer(ca.ServerOptions{Name: "ac1"}, time.Unix(0, 0), time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		return append(append(chain, two.RootPEM()...), own.Leaf.Raw...)
	}
	if first, second := issue(), issue(); !bytes.Equal(first, second) {
		t.Errorf("got\n%q\nand\n%q", first, second)
	}
}

func TestNoRandomness(t *testing.T) {
	sealer, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	root := &memoryRoot{}
	_, err = ca.New(t.Context(), ca.Options{
		Store: memory.New(memory.Options{}), Seal: sealer, Grid: "grid.example", Root: root, Rand: bytes.NewReader(nil), NewKey: seeded(),
	})
	if err == nil || root.text != nil {
		t.Errorf("a root is made without randomness: %v", err)
	}
}
