package registry

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// skewed is a grid of two ACs and one node, whose certificates are kept.
type skewed struct {
	*stepped
	node  *steppedNode
	certs []*x509.Certificate
}

func newSkewed(t *testing.T) *skewed {
	g := &skewed{stepped: newStepped(t, 1, 2), node: newSteppedNode(t, 1)}
	if _, err := g.node.unlock(g.acs[0].r); err != nil {
		t.Fatal(err)
	}
	g.news(1)
	g.certify(0)
	return g
}

// certify gets a certificate from an AC, and wants it good there at once.
func (g *skewed) certify(n int) *x509.Certificate {
	g.t.Helper()
	issued, err := g.node.certify(g.acs[n].r)
	if err != nil {
		g.t.Fatal(err)
	}
	block, _ := pem.Decode(issued.Chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.acs[n].r.Admit(g.node.id(), leaf); err != nil {
		g.t.Fatalf("issued now, and not admitted now: %v", err)
	}
	g.certs = append(g.certs, leaf)
	return leaf
}

func (g *skewed) operate(do func(ctx context.Context, actor, ref string) (api.Node, error)) {
	g.t.Helper()
	if _, err := do(g.t.Context(), admin, string(g.node.id())); err != nil {
		g.t.Fatal(err)
	}
}

// onlyNewest wants that ACs that have heard everything admit the newest
// certificate alone, at every time at which one of the others is good.
func (g *skewed) onlyNewest() {
	g.t.Helper()
	now, newest := g.now, g.certs[len(g.certs)-1]
	for n := range g.acs {
		g.news(n)
		for _, cert := range g.certs {
			g.now = cert.NotBefore.Add(ca.Backdate)
			err := g.acs[n].r.Admit(g.node.id(), cert)
			if admitted := err == nil; admitted != cert.Equal(newest) {
				g.t.Errorf("AC %d: the certificate of %s: %v; the newest is of %s", n, cert.NotBefore, err, newest.NotBefore)
			}
		}
		g.now = now
	}
}

// Whatever an AC does while its clock is ahead, when it is right again the node
// gets a certificate that is good at once, and no older one ever counts again.
func TestAClockThatWasAheadShutsNobodyOut(t *testing.T) {
	held := func(r *Registry) func(context.Context, string, string) (api.Node, error) {
		return func(ctx context.Context, actor, ref string) (api.Node, error) {
			if _, err := r.Quarantine(ctx, actor, ref, "why"); err != nil {
				return api.Node{}, err
			}
			return r.Release(ctx, actor, ref)
		}
	}
	for name, during := range map[string]func(*skewed){
		"issue":             func(g *skewed) { g.certify(0) },
		"revoke":            func(g *skewed) { g.operate(g.acs[0].r.Revoke) },
		"issue, revoke":     func(g *skewed) { g.certify(0); g.operate(g.acs[0].r.Revoke) },
		"revoke, issue":     func(g *skewed) { g.operate(g.acs[0].r.Revoke); g.certify(0) },
		"issue, quarantine": func(g *skewed) { g.certify(0); g.operate(held(g.acs[0].r)) },
		"issue, revoke at both": func(g *skewed) {
			g.certify(0)
			g.operate(g.acs[0].r.Revoke)
			g.certify(0)
			g.operate(g.acs[1].r.Revoke)
		},
		"issue, revoke elsewhere": func(g *skewed) { g.certify(0); g.news(1); g.operate(g.acs[1].r.Revoke) },
	} {
		for n := range 2 {
			t.Run(fmt.Sprintf("%s, then AC %d", name, n), func(t *testing.T) {
				g := newSkewed(t)
				const ahead = 240 * time.Hour
				g.now = g.now.Add(ahead)
				during(g)
				g.now = g.now.Add(-ahead)
				g.certify(n)
				g.onlyNewest()
				g.certify(1 - n) // in the same second
				g.onlyNewest()
			})
		}
	}
}

// A revocation when the clock is right again covers what was issued when it was
// ahead, and a node that comes back with an empty disk goes on in the order.
func TestIssueTimesOutliveTheCertificate(t *testing.T) {
	const ahead = 240 * time.Hour
	for name, after := range map[string]func(*skewed){
		"revoke": func(g *skewed) { g.operate(g.acs[0].r.Revoke) },
		"retire, then as new": func(g *skewed) {
			g.operate(g.acs[0].r.Retire)
			fresh := newSteppedNode(g.t, 2)
			fresh.claim.MACs, g.node = g.node.claim.MACs, fresh
			if _, err := fresh.unlock(g.acs[1].r); err != nil {
				g.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newSkewed(t)
			g.now = g.now.Add(ahead)
			old := g.certify(0)
			g.now = g.now.Add(-ahead)
			after(g)
			g.certify(1) // which has not heard of the revocation
			g.onlyNewest()
			g.now = g.now.Add(ahead)
			if err := g.acs[0].r.Holds(g.node.id(), old); !errors.Is(err, ca.ErrRevoked) {
				t.Errorf("when its time has come: %v, want ErrRevoked", err)
			}
		})
	}
}

func TestBadProofsLockNoLongerThanALock(t *testing.T) {
	g := newSkewed(t)
	r, limits := g.acs[0].r, enrol.DefaultLimits()
	g.now = g.now.Add(240 * time.Hour)
	for range limits.BadProofs {
		r.BadProof(t.Context(), g.node.peer, g.node.device, nil)
	}
	g.now = g.now.Add(-240 * time.Hour)
	if _, err := g.node.certify(r); !errors.Is(err, api.ErrRefused) {
		t.Fatalf("after %d bad proofs: %v, want a refusal", limits.BadProofs, err)
	}
	g.now = g.now.Add(time.Duration(limits.LockSeconds) * time.Second)
	g.certify(0)
}

func TestSettleWhenTheClockWentBack(t *testing.T) {
	g := newSkewed(t)
	r := g.acs[0].r
	g.now = g.now.Add(240 * time.Hour)
	r.Settle(t.Context())
	g.now = g.now.Add(-240 * time.Hour)
	r.Seen(g.node.id(), api.Whereabouts{Phase: managed}, true)
	if next := r.Settle(t.Context()); next.Sub(g.now) > sumUpEvery {
		t.Errorf("next at %v, it is %v", next, g.now)
	}
	if _, err := g.store.Get(t.Context(), keySeen+string(g.node.id())); err != nil {
		t.Errorf("whereabouts wait until the clock has caught up: %v", err)
	}
}
