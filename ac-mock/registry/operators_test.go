package registry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

func csrOf(t *testing.T) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func mustOperator(t *testing.T, r *Registry, role, name string) *x509.Certificate {
	t.Helper()
	made, err := r.AddOperator(t.Context(), admin, api.OperatorRequest{Name: name, Role: role, CSR: csrOf(t), ForMS: time.Hour.Milliseconds()})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(made.Chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// An operator gets certificates of his role, is listed, and once he is revoked
// none of them counts, at any AC.
func TestOperators(t *testing.T) {
	g := newGrid(t)
	r, other := g.ac(enrol.ModeOpen), g.ac(enrol.ModeOpen)
	first := mustOperator(t, r, "operator", "oz")
	if e := lastEntry(t, r); e.Action != "operator" || e.Actor != admin || !strings.HasPrefix(e.Detail, "operator.oz, serial ") {
		t.Errorf("the audit has %+v", e)
	}
	second := mustOperator(t, other, "operator", "oz")
	if id, err := api.ParseIdentity(first.URIs); err != nil || id.String() != "spiffe://lab/operator/operator.oz" {
		t.Errorf("the certificate is %v, %v", id, err)
	}
	list, err := r.Operators(t.Context())
	if err != nil || len(list) != 1 || list[0].State != "active" || len(list[0].Serials) != 2 || !list[0].Expires.Equal(second.NotAfter) {
		t.Errorf("%+v, %v", list, err)
	}
	was, err := r.RevokeOperator(t.Context(), admin, "oz")
	if err != nil || was.State != "revoked" {
		t.Fatalf("%+v, %v", was, err)
	}
	if e := lastEntry(t, r); e.Action != "operator revoke" || e.Detail != "operator.oz" {
		t.Errorf("the audit has %+v", e)
	}
	changed := other.o.CA.Changed()
	for other.o.CA.Denied(first) == nil || other.o.CA.Denied(second) == nil {
		<-changed
		changed = other.o.CA.Changed()
	}
	if err := r.o.CA.Denied(first); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("his certificate: %v", err)
	}
	const oz = "spiffe://lab/operator/operator.oz"
	if err := r.MayAct(t.Context(), oz); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("what he left to be done: %v", err)
	}
	if err := errors.Join(r.MayAct(t.Context(), admin), r.MayAct(t.Context(), "spiffe://lab/operator/operator.nobody")); err != nil {
		t.Errorf("what others left: %v", err)
	}
	anew := mustOperator(t, r, "viewer", "oz")
	if err := r.MayAct(t.Context(), oz); !errors.Is(err, ErrState) {
		t.Errorf("what he left as one who might: %v", err)
	}
	if err := r.o.CA.Denied(anew); err != nil {
		t.Errorf("made anew with another role: %v", err)
	}
	g.clock.Advance(2 * time.Hour)
	if list, err = r.Operators(t.Context()); err != nil || len(list) != 1 || list[0].State != "expired" || list[0].Role != "viewer" {
		t.Errorf("%+v, %v", list, err)
	}
}

// What cannot be is refused, says why, and changes nothing.
func TestOperatorsThatCannotBe(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	mustOperator(t, r, "admin", "ann")
	mustOperator(t, r, "viewer", "vic")
	before, err := r.Operators(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	csr, hour := csrOf(t), time.Hour.Milliseconds()
	for _, q := range []api.OperatorRequest{
		{Name: "x", Role: "root", CSR: csr, ForMS: hour},
		{Name: "", Role: "viewer", CSR: csr, ForMS: hour},
		{Name: "a/b", Role: "viewer", CSR: csr, ForMS: hour},
		{Name: strings.Repeat("x", 33), Role: "viewer", CSR: csr, ForMS: hour},
		{Name: "x", Role: "viewer", CSR: []byte("no request"), ForMS: hour},
		{Name: "x", Role: "viewer", CSR: csr, ForMS: 1},
		{Name: "x", Role: "viewer", CSR: csr, ForMS: 3 * 365 * 24 * hour},
	} {
		if _, err := r.AddOperator(t.Context(), admin, q); !errors.Is(err, ErrInput) {
			t.Errorf("%s %q: %v", q.Role, q.Name, err)
		}
	}
	if _, err := r.AddOperator(t.Context(), admin, api.OperatorRequest{Name: "vic", Role: "admin", CSR: csr, ForMS: hour}); !errors.Is(err, ErrState) {
		t.Errorf("another role: %v", err)
	}
	for name, want := range map[string]error{"ann": ErrState, "nobody": ErrUnknown} {
		if _, err := r.RevokeOperator(t.Context(), admin, name); !errors.Is(err, want) {
			t.Errorf("revoke %s: %v, want %v", name, err, want)
		}
	}
	if _, err := r.RevokeOperator(t.Context(), "spiffe://lab/ac/ac1", "ann"); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "last admin") {
		t.Errorf("revoke of the last admin: %v", err)
	}
	after, err := r.Operators(t.Context())
	if err != nil || !bytes.Equal(encode(t, before), encode(t, after)) {
		t.Errorf("was %s, is %s, %v", encode(t, before), encode(t, after), err)
	}
	mustOperator(t, r, "admin", "bob")
	if _, err := r.RevokeOperator(t.Context(), "spiffe://lab/operator/admin.bob", "ann"); err != nil {
		t.Errorf("revoke of one of two admins: %v", err)
	}
}

// Two admins revoke each other at once, at two ACs: one of them stays.
func TestAdminsRevokeEachOther(t *testing.T) {
	for range 10 {
		g := newGrid(t)
		a, b := g.ac(enrol.ModeOpen), g.ac(enrol.ModeOpen)
		mustOperator(t, a, "admin", "ann")
		mustOperator(t, a, "admin", "bob")
		done := make(chan error, 1)
		go func() {
			_, err := b.RevokeOperator(t.Context(), "spiffe://lab/operator/admin.bob", "ann")
			done <- err
		}()
		_, err := a.RevokeOperator(t.Context(), admin, "bob")
		if err2 := <-done; (err == nil) == (err2 == nil) {
			t.Fatalf("ann revokes bob: %v; bob revokes ann: %v; want one of the two", err, err2)
		}
	}
}

// The recovery key is shown once, unless more is meant, and the audit has who
// saw it before he does.
func TestRecoveryIsShownOnce(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	first := m.mustUnlock(r)
	if _, err := r.Recovery(t.Context(), admin, string(m.id()), false); !errors.Is(err, ErrState) {
		t.Errorf("before there is a volume: %v", err)
	}
	m.mustConfirm(r, 1)
	got, err := r.Recovery(t.Context(), admin, "node-1", false)
	if err != nil || !bytes.Equal(got.Key, first.Recovery) || got.NodeID != m.id() {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := lastEntry(t, r); e.Action != "recovery" || e.Actor != admin || e.Node != m.id() {
		t.Errorf("the audit has %+v", e)
	}
	if _, err := r.Recovery(t.Context(), "spiffe://lab/operator/admin.bob", "node-1", false); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), admin) {
		t.Errorf("a second time: %v", err)
	}
	if got, err = r.Recovery(t.Context(), "spiffe://lab/operator/admin.bob", "node-1", true); err != nil || !bytes.Equal(got.Key, first.Recovery) {
		t.Errorf("again: %+v, %v", got, err)
	}
	if e := lastEntry(t, r); !strings.Contains(e.Detail, "shown before at 2026-11-23T12:00:00Z to "+admin) {
		t.Errorf("the audit has %+v", e)
	}
	nowhere(t, g.store, first.Recovery, first.Shares[0].Share)
	m.claim.Generations = nil // a new disk, with the old device key
	again := m.mustUnlock(r)
	m.mustConfirm(r, 2)
	if got, err = r.Recovery(t.Context(), admin, "node-1", false); err != nil || !bytes.Equal(got.Key, again.Recovery) || bytes.Equal(got.Key, first.Recovery) {
		t.Errorf("of a new volume: %v", err)
	}
	if _, err := r.Retire(t.Context(), admin, "node-1"); err != nil {
		t.Fatal(err)
	}
	if _, err = r.Recovery(t.Context(), admin, "node-1", true); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("of a retired node: %v", err)
	}
}
