package registry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

func TestFirstBootThenReboots(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	first := m.mustUnlock(r)
	if len(first.Shares) != 1 || len(first.Shares[0].Share) != shareSize || len(first.Recovery) != shareSize || first.Grid != "lab" {
		t.Fatalf("first boot got %d shares, recovery of %d bytes", len(first.Shares), len(first.Recovery))
	}
	again := m.mustUnlock(r) // killed before it confirmed
	if !bytes.Equal(again.Shares[0].Share, first.Shares[0].Share) || !bytes.Equal(again.Recovery, first.Recovery) {
		t.Fatal("asked again before confirming, and got another share")
	}
	m.mustConfirm(r, 1)
	m.mustConfirm(r, 1)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = g.ac(enrol.ModeApprove) // the AC restarts
	later := m.mustUnlock(r)
	if !bytes.Equal(later.Shares[0].Share, first.Shares[0].Share) || len(later.Recovery) != 0 {
		t.Fatal("after confirming: want the same share, and no recovery key")
	}
	recovery, err := r.Recovery(t.Context(), admin, "node-1", false)
	if err != nil || !bytes.Equal(recovery.Key, first.Recovery) {
		t.Fatalf("the operator's recovery key differs from the node's: %v", err)
	}
	if e := lastEntry(t, r); e.Action != "recovery" || e.Actor != admin {
		t.Fatalf("reading the recovery key left %+v", e)
	}
}

func TestSharesAreSealedAtRest(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	u := m.mustUnlock(r)
	_, err := store.Each(t.Context(), g.store, "", func(kv store.KV) error {
		if bytes.Contains(kv.Value, u.Shares[0].Share) || bytes.Contains(kv.Value, u.Recovery) {
			return fmt.Errorf("%s holds a key in clear", kv.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestApproval(t *testing.T) {
	g := newGrid(t)
	r, m, stranger := g.ac(enrol.ModeApprove), newMachine(t, 1), newMachine(t, 2)
	_, err := m.unlock(r)
	wantRefused(t, r, err, enrol.ReasonNew)
	_, err = m.unlock(r)
	wantRefused(t, r, err, enrol.ReasonPending)
	_, err = r.Certificate(t.Context(), m.peer, m.device, m.csr())
	wantRefused(t, r, err, enrol.ReasonPending)
	stranger.claim.MACs = m.claim.MACs
	_, err = stranger.unlock(r)
	wantRefused(t, r, err, enrol.ReasonOtherKey)
	n, err := r.Node(t.Context(), "02:00:00:00:00:01")
	if err != nil || n.State != api.NodePending || n.Fingerprint != api.Fingerprint(m.device) || n.Phase != "unlock" || n.Reason == "" {
		t.Fatalf("the operator sees %+v, %v", n, err)
	}
	if n, err = r.Approve(t.Context(), admin, "node-1"); err != nil || n.State != api.NodeEnrolled {
		t.Fatalf("approved: %+v, %v", n, err)
	}
	if e := lastEntry(t, r); e.Action != "approve" || e.Actor != admin || e.Node != m.id() {
		t.Fatalf("approval left %+v", e)
	}
	_, err = stranger.unlock(r)
	wantRefused(t, r, err, enrol.ReasonOtherKey)
	m.boot(r)
}

func TestMACAloneYieldsNothing(t *testing.T) {
	g := newGrid(t)
	r, m, thief := g.ac(enrol.ModeOpen), newMachine(t, 1), newMachine(t, 2)
	m.boot(r)
	thief.claim.MACs, thief.claim.Counter = m.claim.MACs, 100
	_, err := thief.unlock(r)
	wantRefused(t, r, err, enrol.ReasonOtherKey)
	err = r.Confirm(t.Context(), thief.peer, thief.device, api.Confirm{NodeID: m.id(), Generation: 1})
	wantRefused(t, r, err, enrol.ReasonOtherKey)
	_, err = r.Certificate(t.Context(), thief.peer, thief.device, m.csr())
	wantRefused(t, r, err, enrol.ReasonOtherKey)
	m.mustUnlock(r) // and the owner does not notice
}

func TestEveryRefusalLooksTheSame(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeApprove)
	m := newMachine(t, 1)
	texts := map[string]bool{}
	for range 3 {
		_, err := m.unlock(r)
		texts[err.Error()] = true
		flush(t, r)
	}
	m.claim.BootID = "nonsense"
	_, err := m.unlock(r)
	texts[err.Error()] = true
	err = r.Confirm(t.Context(), m.peer, m.device, api.Confirm{NodeID: "0200000000ff", Generation: 1})
	texts[err.Error()] = true
	if len(texts) != 1 {
		t.Fatalf("refusals differ: %v", texts)
	}
}

func TestCertificateAdmitsAndRevokes(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	leaf := m.boot(r)
	if err := r.Admit(m.id(), leaf); err != nil {
		t.Fatal(err)
	}
	n, _ := r.Node(t.Context(), string(m.id()))
	if n.CertificateExpires == nil || !n.CertificateExpires.Equal(leaf.NotAfter) {
		t.Fatalf("the operator sees %+v", n)
	}
	if _, err := r.Revoke(t.Context(), admin, "node-1"); err != nil {
		t.Fatal(err)
	}
	if id := <-r.Revoked(); id != m.id() {
		t.Fatalf("revoked %s, want %s", id, m.id())
	}
	if err := r.Admit(m.id(), leaf); !errors.Is(err, ca.ErrRevoked) {
		t.Fatalf("revoked, and then: %v", err)
	}
	if err := r.Admit(m.id(), m.mustCertify(r)); err != nil {
		t.Fatalf("healed: %v", err)
	}
	g.clock.Advance(ca.DefaultLeafLife + time.Hour)
	if err := r.Admit(m.id(), leaf); err == nil {
		t.Fatal("admitted with an expired certificate")
	}
}

func TestT31NodeSpeaksForAnother(t *testing.T) {
	g := newGrid(t)
	r, m, other := g.ac(enrol.ModeOpen), newMachine(t, 1), newMachine(t, 2)
	leaf := m.boot(r)
	other.boot(r)
	if err := r.Admit(other.id(), leaf); err == nil {
		t.Fatal("a session for another node was admitted")
	}
	csr := m.csr()
	csr.NodeID = other.id()
	_, err := r.Certificate(t.Context(), m.peer, m.device, csr)
	wantRefused(t, r, err, enrol.ReasonOtherKey)
	err = r.Confirm(t.Context(), m.peer, m.device, api.Confirm{NodeID: other.id(), Generation: 1})
	wantRefused(t, r, err, enrol.ReasonOtherKey)
}

func TestMalformedRequestForACertificate(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	m.boot(r)
	for _, der := range [][]byte{nil, []byte("garbage"), flip(m.csr().DER)} {
		csr := m.csr()
		csr.DER = der
		_, err := r.Certificate(t.Context(), m.peer, m.device, csr)
		wantRefused(t, r, err, reasonCSR)
		g.clock.Advance(2 * time.Minute) // so that the next refusal is an entry of its own
		flush(t, r)
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func TestRetireShredsForEver(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	leaf := m.boot(r)
	n, err := r.Retire(t.Context(), admin, "node-1")
	if err != nil || n.State != api.NodeRetired {
		t.Fatalf("%+v, %v", n, err)
	}
	if id := <-r.Revoked(); id != m.id() {
		t.Fatalf("revoked %s", id)
	}
	page, err := g.store.List(t.Context(), "escrow/", store.ListOptions{})
	if err != nil || len(page.KVs) != 0 {
		t.Fatalf("%d shares are left, %v", len(page.KVs), err)
	}
	if err := r.Admit(m.id(), leaf); err == nil {
		t.Fatal("admitted after it was retired")
	}
	_, err = m.unlock(r)
	wantRefused(t, r, err, enrol.ReasonRetired)
	if _, err := r.Approve(t.Context(), admin, "node-1"); !errors.Is(err, ErrState) {
		t.Fatalf("approving a retired node: %v", err)
	}
	m.device = bytes.Repeat([]byte{99}, 32) // a new disk
	m.claim.Counter, m.claim.Generations = 0, nil
	m.boot(r)
}

func TestQuarantine(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	leaf := m.boot(r)
	if _, err := r.Quarantine(t.Context(), admin, "node-1", "smells"); err != nil {
		t.Fatal(err)
	}
	<-r.Revoked()
	if err := r.Admit(m.id(), leaf); !errors.Is(err, ErrState) {
		t.Fatalf("admitted from quarantine: %v", err)
	}
	_, err := m.unlock(r)
	wantRefused(t, r, err, enrol.ReasonQuarantined)
	if _, err := r.Release(t.Context(), admin, "node-1"); err != nil {
		t.Fatal(err)
	}
	m.mustUnlock(r)
}

// TestAliveTwiceIsPending: an identity that is alive twice waits for an
// operator, and its certificates do not count any more, also not afterwards.
func TestAliveTwiceIsPending(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	leaf := m.boot(r)
	n, err := r.Suspect(t.Context(), "ac1", string(m.id()), "clone: two of it")
	if err != nil || n.State != api.NodePending || n.Reason != "clone: two of it" {
		t.Fatalf("%+v, %v", n, err)
	}
	<-r.Revoked()
	_, err = m.unlock(r)
	wantRefused(t, r, err, enrol.ReasonPending)
	if _, err := r.Approve(t.Context(), admin, "node-1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Admit(m.id(), leaf); err == nil {
		t.Fatal("a certificate from before the doubt opens a session again")
	}
	m.mustUnlock(r)
}

func TestCloneMakesBothWait(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	leaf := m.boot(r)
	twin := *m
	twin.peer, twin.claim.Counter, twin.claim.BootID = "192.168.7.66:1", m.claim.Counter-1, strings.Repeat("f", 32)
	_, err := twin.unlock(r)
	wantRefused(t, r, err, enrol.ReasonRollback)
	if id := <-r.Revoked(); id != m.id() {
		t.Fatalf("the session of %s has to end", id)
	}
	_, err = m.unlock(r)
	wantRefused(t, r, err, enrol.ReasonPending)
	if err := r.Admit(m.id(), leaf); !errors.Is(err, ErrState) {
		t.Fatalf("admitted while it waits: %v", err)
	}
}

func TestTwoACsAgree(t *testing.T) {
	g := newGrid(t)
	one, two := g.ac(enrol.ModeOpen), g.ac(enrol.ModeOpen)
	m := newMachine(t, 1)
	leaf := m.boot(one)
	share := m.mustUnlock(one).Shares[0].Share
	if other := m.mustUnlock(two).Shares[0].Share; !bytes.Equal(share, other) { // its book may be behind: the store decides
		t.Fatal("the other AC gave another share")
	}
	eventually(t, two, "the node is known at the other AC", func() bool { return two.Admit(m.id(), leaf) == nil })
	if _, err := one.Quarantine(t.Context(), admin, "node-1", "test"); err != nil {
		t.Fatal(err)
	}
	if id := <-two.Revoked(); id != m.id() {
		t.Fatalf("at the other AC %s is revoked", id)
	}
}

func TestT30TwoMachinesOneID(t *testing.T) {
	g := newGrid(t)
	acs := []*Registry{g.ac(enrol.ModeOpen), g.ac(enrol.ModeOpen)}
	var wg sync.WaitGroup
	won := make(chan int, 8)
	for i := range 8 {
		wg.Go(func() {
			m := newMachine(t, 10+i)
			m.claim.MACs = []string{"02:00:00:00:00:01"}
			if _, err := m.unlock(acs[i%2]); err == nil {
				won <- i
			} else if !errors.Is(err, api.ErrRefused) {
				t.Errorf("machine %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d machines were enrolled under one MAC address, want 1", len(won))
	}
}

func TestNothingIsGivenWithoutTheStore(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	g.memory.SetDown(true)
	u, err := m.unlock(r)
	if !errors.Is(err, store.ErrUnavailable) || len(u.Shares) != 0 || errors.Is(err, api.ErrRefused) {
		t.Fatalf("without the store: %d shares, %v", len(u.Shares), err)
	}
	g.memory.SetDown(false)
	m.boot(r)
}

func TestBadProofsLock(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	m.boot(r)
	for range enrol.DefaultLimits().BadProofs {
		r.BadProof(t.Context(), "192.168.7.99:1", m.device, api.ErrProof)
	}
	flush(t, r) // their sum comes first
	_, err := m.unlock(r)
	wantRefused(t, r, err, reasonLocked)
	g.clock.Advance(time.Duration(enrol.DefaultLimits().LockSeconds+1) * time.Second)
	m.mustUnlock(r)
}

func TestFloodIsBounded(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeApprove)
	before, _ := g.store.Revision(t.Context())
	m := newMachine(t, 1)
	for i := range 5000 { // one address, ever new MACs and keys
		m.claim.MACs = []string{fmt.Sprintf("02:00:00:01:%02x:%02x", i>>8, i&255)}
		m.device = fmt.Appendf(nil, "%032d", i)
		if _, err := m.unlock(r); !errors.Is(err, api.ErrRefused) {
			t.Fatal(err)
		}
	}
	flush(t, r)
	after, _ := g.store.Revision(t.Context())
	if writes := after - before; writes > 3*int64(enrol.DefaultLimits().SourceBurst) {
		t.Fatalf("5000 hostile requests made %d writes", writes)
	}
}

func TestWhereNodesAre(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	m.boot(r)
	before, _ := g.store.Revision(t.Context())
	at := api.Whereabouts{Phase: "managed", Way: "fallback", Address: "10.254.254.7/24"}
	for range 1000 {
		r.Seen(m.id(), at, true)
	}
	if after, _ := g.store.Revision(t.Context()); after != before {
		t.Fatalf("1000 heartbeats cost %d writes", after-before)
	}
	n, _ := r.Node(t.Context(), "node-1")
	if n.Phase != "managed" || n.Way != "fallback" || n.LastSeen == nil || !n.LastSeen.Equal(g.clock.Now()) {
		t.Fatalf("online: %+v", n)
	}
	r.Seen(m.id(), at, false)
	if n, _ = r.Node(t.Context(), "node-1"); n.Phase != "offline" {
		t.Fatalf("without a session: phase %s, want offline", n.Phase)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = g.ac(enrol.ModeOpen)
	if n, _ = r.Node(t.Context(), "node-1"); n.Phase != "offline" || n.Address != at.Address || n.LastSeen == nil {
		t.Fatalf("after a restart of the AC: %+v", n)
	}
}

func TestReferences(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	a, b := newMachine(t, 1), newMachine(t, 2)
	b.claim.Hostname = a.claim.Hostname
	a.boot(r)
	b.boot(r)
	for _, ref := range []string{"020000000001", "02:00:00:00:00:01", "02-00-00-00-00-01"} {
		if n, err := r.Node(t.Context(), ref); err != nil || n.ID != a.id() {
			t.Errorf("%s: %v, %v", ref, n.ID, err)
		}
	}
	_, err := r.Node(t.Context(), "node-1")
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "020000000001, 020000000002") {
		t.Errorf("ambiguous name: %v", err)
	}
	for _, ref := range []string{"", "nobody", "02:00:00:00:00:09"} {
		if _, err := r.Node(t.Context(), ref); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v, want ErrUnknown", ref, err)
		}
	}
	if _, err := r.Retire(t.Context(), admin, string(b.id())); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Node(t.Context(), "node-1"); err != nil || n.ID != a.id() {
		t.Errorf("once the other is retired: %v, %v", n.ID, err)
	}
	if all, err := r.Nodes(t.Context()); err != nil || len(all) != 2 || all[0].ID != a.id() {
		t.Errorf("all nodes: %+v, %v", all, err)
	}
}

func TestOperatorCertificates(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Operator(t.Context(), "first start", "admin.ann", k.Public(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if e := lastEntry(t, r); e.Action != "operator" || !strings.HasPrefix(e.Detail, "admin.ann, serial ") {
		t.Fatalf("left %+v", e)
	}
	for _, name := range []string{"ann", "root.ann", "admin.", "admin.a/b"} {
		if _, err := r.Operator(t.Context(), "x", name, k.Public(), time.Hour); err == nil {
			t.Errorf("operator %q got a certificate", name)
		}
	}
}

func TestEveryGrantIsAudited(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	m.boot(r)
	entries, err := r.Audit(t.Context(), "node-1", 0, 0)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v; want unlock, confirm, certificate", len(entries), err)
	}
	for i, action := range []string{actUnlock, actConfirm, actCertificate} {
		e := entries[i]
		if e.Action != action || e.Decision != "granted" || e.Actor != "spiffe://lab/node/020000000001" || e.Peer != m.peer || e.Seq == 0 {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if issued := r.Settings(m.id()).AuthorizedKeys; len(issued) != 1 {
		t.Errorf("settings: %v", issued)
	}
}
