package ca_test

import (
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

// book is what a registry keeps of one node: its last issue time.
type book struct {
	t    *testing.T
	s    *memory.Store
	last time.Time
}

func (b *book) issue(c *ca.CA) *x509.Certificate {
	b.t.Helper()
	leaf, _, err := c.Issue(nodeIdentity(), public(), c.LeafLife(), b.last)
	if err != nil {
		b.t.Fatal(err)
	}
	if at := ca.IssuedAt(leaf); !at.After(b.last) {
		b.t.Fatalf("issue time %s is not after the last one, %s", at, b.last)
	}
	b.last = ca.IssuedAt(leaf)
	return leaf
}

func (b *book) revoke(c *ca.CA) {
	b.t.Helper()
	op, at := c.DenyNode(node, b.last)
	if !at.After(b.last) {
		b.t.Fatalf("issue time %s of the revocation is not after the last one, %s", at, b.last)
	}
	b.last = at
	if _, err := b.s.Txn(b.t.Context(), store.Txn{Then: []store.Op{op}}); err != nil {
		b.t.Fatal(err)
	}
}

// A revocation covers what was issued before it and nothing that is issued
// after it, wherever the clocks of the two ACs stand; and what is issued now is
// good now. Each step moves the clock first.
func TestARevocationIsNoQuestionOfTheCalendar(t *testing.T) {
	type step struct {
		by time.Duration
		do string // issue, or revoke
	}
	const hour, days, behind = time.Hour, 240 * time.Hour, 4 * time.Minute
	for name, steps := range map[string][]step{
		"thrice in one second":            {{0, "issue"}, {0, "revoke"}, {0, "issue"}, {0, "revoke"}, {0, "issue"}},
		"ahead when it revoked":           {{0, "issue"}, {days, "revoke"}, {-days, "issue"}, {hour, "issue"}},
		"ahead when it issued":            {{days, "issue"}, {-days, "revoke"}, {0, "issue"}},
		"ahead when it did both":          {{0, "issue"}, {days, "issue"}, {0, "revoke"}, {0, "issue"}, {-days, "issue"}},
		"revoked again when it was right": {{0, "issue"}, {days, "revoke"}, {-days, "issue"}, {0, "revoke"}, {0, "issue"}},
		"behind when it revoked":          {{0, "issue"}, {-behind, "revoke"}, {0, "issue"}, {behind, "issue"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, one, two, clock := stepped(t)
			b := &book{t: t, s: s}
			var void, good []*x509.Certificate
			for i, step := range steps {
				clock.Advance(step.by)
				ac := []*ca.CA{one, two}[i%2]
				if step.do == "revoke" {
					b.revoke(ac)
					void, good = append(void, good...), nil
				} else {
					leaf := b.issue(ac) // which may not have heard of the last revocation
					good = append(good, leaf)
					if _, err := api.VerifyClient([]*x509.Certificate{leaf}, ac.ClientCAs(), clock.Now()); err != nil {
						t.Fatalf("step %d: issued now, and not good now: %v", i, err)
					}
				}
				wantDenied(t, one, void, good)
				wantDenied(t, two, void, good)
			}
		})
	}
}

// wantDenied looks at an AC that has heard everything.
func wantDenied(t *testing.T, c *ca.CA, void, good []*x509.Certificate) {
	t.Helper()
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, cert := range void {
		if err := c.Denied(cert); !errors.Is(err, ca.ErrRevoked) {
			t.Errorf("revoked one with issue time %s: %v, want ErrRevoked", ca.IssuedAt(cert), err)
		}
	}
	for _, cert := range good {
		if err := c.Denied(cert); err != nil {
			t.Errorf("one with issue time %s, after the revocation: %v", ca.IssuedAt(cert), err)
		}
	}
}

// A denial in a store from before records said issue times, made under a clock
// that was ahead, locks nobody out either.
func TestADenialWithoutARecord(t *testing.T) {
	s, one, _, clock := stepped(t)
	b := &book{t: t, s: s}
	clock.Advance(240 * time.Hour)
	b.revoke(one)
	clock.Advance(-240 * time.Hour)
	b.last = time.Time{}
	if err := one.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantDenied(t, one, nil, []*x509.Certificate{b.issue(one)})
}

// A denial stays until the last certificate that it covers has expired, also of
// those that were issued under a clock that was ahead.
func TestADenialOutlivesWhatItCovers(t *testing.T) {
	s, one, _, clock := stepped(t)
	b := &book{t: t, s: s}
	clock.Advance(240 * time.Hour)
	leaf := b.issue(one)
	clock.Advance(-240 * time.Hour)
	b.revoke(one)
	clock.Advance(leaf.NotAfter.Sub(clock.Now()))
	one.Tend(t.Context())
	wantDenied(t, one, []*x509.Certificate{leaf}, nil)
}

// A clock that was ahead for a moment does not take away the CA that signs, and
// a CA that it made does not keep everybody waiting.
func TestTheIssuingCAUnderAWrongClock(t *testing.T) {
	for name, c := range map[string]struct {
		ahead   time.Duration
		offline bool // the root
	}{
		"a new one is made ahead of time":          {300 * 24 * time.Hour, false},
		"the one that signs seems to have run out": {2 * 365 * 24 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			made, err := ca.New(t.Context(), b.o)
			if err != nil {
				t.Fatal(err)
			}
			if c.offline {
				if err := os.Remove(b.o.RootKey); err != nil {
					t.Fatal(err)
				}
			}
			for _, by := range []time.Duration{c.ahead, -c.ahead} {
				b.clock.Advance(by)
				made.Tend(t.Context())
			}
			if err := made.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			leaf := issue(t, made)
			if _, err := api.VerifyClient([]*x509.Certificate{leaf}, made.ClientCAs(), b.clock.Now()); err != nil {
				t.Errorf("issued now, and not good now: %v", err)
			}
		})
	}
}

func TestIssueTimesAreOfNodesOnly(t *testing.T) {
	_, one, _, clock := stepped(t)
	id := api.Identity{Grid: "grid.example", Role: api.RoleOperator, Name: "admin.ann"}
	leaf, _, err := one.Issue(id, public(), time.Hour, clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if want := clock.Now().Truncate(time.Second); !ca.IssuedAt(leaf).Equal(want) || strings.Contains(leaf.Subject.String(), "SERIALNUMBER") {
		t.Errorf("subject %s, issued at %s, want %s", leaf.Subject, ca.IssuedAt(leaf), want)
	}
}
