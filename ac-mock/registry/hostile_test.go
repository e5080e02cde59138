package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// What strangers say is neither kept at length nor fit to do something to an
// operator's terminal.
func TestWordsOfStrangers(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeApprove)
	long := strings.Repeat("\x1b[2J", 10_000)
	m, bad := newMachine(t, 1), newMachine(t, 2)
	m.claim.Where = api.Whereabouts{Phase: long, Way: long, Interface: long, Address: long}
	_, err := m.unlock(r)
	wantRefused(t, r, err, enrol.ReasonNew)
	r.Seen(m.id(), m.claim.Where, true)
	bad.claim.MACs = []string{long}
	_, err = bad.unlock(r)
	wantRefused(t, r, err, enrol.ReasonMalformed)
	r.BadProof(t.Context(), "192.168.7.9:1", nil, errors.New(long))
	flush(t, r)
	_, err = store.Each(t.Context(), g.store, "", func(kv store.KV) error {
		if len(kv.Value) > 4096 && !strings.HasPrefix(kv.Key, "ca/") {
			t.Errorf("%s has %d bytes", kv.Key, len(kv.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := r.Audit(t.Context(), "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	node, err := r.Node(t.Context(), string(m.id()))
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{node.Name, node.Phase, node.Way, node.Address, node.Reason}
	for _, e := range entries {
		shown = append(shown, e.Detail, e.Reason)
	}
	for _, s := range shown {
		if strings.ContainsRune(s, 0x1b) {
			t.Errorf("an operator is shown %.80q", s)
		}
	}
}

// A node that was taken over cannot flush the audit with certificates.
func TestCertificatesAreLimited(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	m.boot(r)
	granted := 0
	for range 100 {
		if _, err := r.Certificate(t.Context(), m.peer, m.device, m.csr()); err == nil {
			granted++
		}
	}
	if most := enrol.DefaultLimits().RecordBurst; granted > most {
		t.Errorf("%d certificates at once for one node, want at most %d", granted, most)
	}
}

// Who copied the disk cannot become the node with a certificate alone: the
// counter of its request gives both away, and what they hold is void.
func TestCopyOfTheDiskAsksForACertificateOnly(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	copied := *m
	leaf := m.boot(r)
	_, err := r.Certificate(t.Context(), copied.peer, copied.device, copied.csr())
	wantRefused(t, r, err, enrol.ReasonRollback)
	if n, err := r.Node(t.Context(), string(m.id())); err != nil || n.State != api.NodePending {
		t.Errorf("the node is %+v, %v; want it pending", n, err)
	}
	if id := <-r.Revoked(); id != m.id() {
		t.Errorf("the session of %s ends", id)
	}
	if r.Admit(m.id(), leaf) == nil {
		t.Error("the certificate still opens a session")
	}
}

// What an operator does on a node is found in the audit of the node.
func TestNoteAndReady(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	m.boot(r)
	if err := r.Note(t.Context(), admin, "exec", m.id(), "id\x1b[2J"); err != nil {
		t.Fatal(err)
	}
	if e := lastEntry(t, r); e.Action != "exec" || e.Actor != admin || e.Node != m.id() || e.Detail != "id?[2J" {
		t.Errorf("the audit has %+v", e)
	}
	if err := r.Ready(t.Context()); err != nil {
		t.Errorf("with its store: %v", err)
	}
	if err := g.memory.Close(); err != nil {
		t.Fatal(err)
	}
	if r.Ready(t.Context()) == nil {
		t.Error("ready without its store")
	}
}

// A stranger who calls himself by the id of another machine is not meant by it.
func TestHostNameLikeAnID(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeApprove), newMachine(t, 1)
	for _, name := range []string{"0200000000aa", "0200.0000.00aa"} {
		m.claim.Hostname = name
		m.claim.MACs[0] = "02:00:00:00:00:01"
		_, _ = m.unlock(r)
		flush(t, r)
		if n, err := r.Approve(t.Context(), admin, name); !errors.Is(err, ErrUnknown) {
			t.Errorf("approve of %s took %s: %v", name, n.ID, err)
		}
	}
}

// After a clone was found and the operator approved one of the two, the
// certificates that either held before open nothing: each has to prove itself.
func TestCertificatesFromBeforeADoubtAreVoid(t *testing.T) {
	g := newGrid(t)
	r, m := g.ac(enrol.ModeOpen), newMachine(t, 1)
	clone := *m
	first := m.boot(r)
	g.clock.Advance(time.Second)
	second := m.mustCertify(r)
	if r.Admit(m.id(), first) == nil {
		t.Error("an older certificate opens a session although a newer one was issued")
	}
	if err := r.Holds(m.id(), first); err != nil {
		t.Errorf("a session that stands ends with a renewal: %v", err)
	}
	if err := r.Admit(m.id(), second); err != nil {
		t.Errorf("the newest certificate: %v", err)
	}
	for name, doubt := range map[string]func(){
		"clone": func() {
			clone.claim.Counter = 0
			_, err := clone.unlock(r)
			wantRefused(t, r, err, enrol.ReasonRollback)
			if _, err := r.Approve(t.Context(), admin, string(m.id())); err != nil {
				t.Fatal(err)
			}
		},
		"quarantine": func() {
			if _, err := r.Quarantine(t.Context(), admin, string(m.id()), "why"); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Release(t.Context(), admin, string(m.id())); err != nil {
				t.Fatal(err)
			}
		},
	} {
		last := m.mustCertify(r)
		doubt()
		if r.Admit(m.id(), last) == nil || r.Holds(m.id(), last) == nil {
			t.Errorf("%s: a certificate from before opens a session", name)
		}
		g.clock.Advance(time.Minute)
		m.mustUnlock(r)
		if err := r.Admit(m.id(), m.mustCertify(r)); err != nil {
			t.Errorf("%s: healed: %v", name, err)
		}
		if r.Admit(m.id(), last) == nil {
			t.Errorf("%s: a certificate from before opens a session again", name)
		}
	}
}
