package ca_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/core/api"
)

// What is accepted is so before it signs, and what the one before it signed
// stays good until that is retired; operators keep theirs.
func TestAnIssuingCAIsPreparedThenActivatedThenRetired(t *testing.T) {
	b := setup(t)
	one, two := b.open(t), b.open(t)
	leaf := issue(t, one)
	operator, _, err := one.Issue(api.Identity{Grid: "lab", Role: api.RoleOperator, Name: "admin.ann"}, newKey(t).Public(), 400*24*time.Hour, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // each step may be done again, by whoever goes on
		if err := one.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := two.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if string(issue(t, one).AuthorityKeyId) != string(leaf.AuthorityKeyId) {
		t.Fatal("what is only prepared signs already")
	}
	for _, c := range []*ca.CA{two, one, two} {
		if err := c.Activate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fresh := issue(t, one)
	if string(fresh.AuthorityKeyId) == string(leaf.AuthorityKeyId) || string(fresh.AuthorityKeyId) != string(issue(t, two).AuthorityKeyId) {
		t.Fatal("the new issuing CA does not sign everywhere, or there are two of it")
	}
	if err := errors.Join(one.Denied(leaf), one.Denied(fresh), one.Denied(operator)); err != nil {
		t.Fatalf("before the old one is retired: %v", err)
	}
	if err := one.RetireOld(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := one.Denied(leaf); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("a node's certificate of a retired CA: %v", err)
	}
	if err := errors.Join(one.Denied(fresh), one.Denied(operator)); err != nil {
		t.Errorf("what has to stay good: %v", err)
	}
}

func TestPrepareWithoutTheRootKeyChangesNothing(t *testing.T) {
	b := setup(t)
	c := b.open(t)
	if err := os.Remove(b.o.RootKey); err != nil {
		t.Fatal(err)
	}
	if err := c.Prepare(t.Context()); !errors.Is(err, ca.ErrRootKey) {
		t.Fatal(err)
	}
	if _, _, prepared := c.Issuing(); prepared {
		t.Error("a CA is prepared that no root has signed")
	}
}

func TestServersAreRenewedWhenAsked(t *testing.T) {
	b := setup(t)
	c := b.open(t)
	get, err := c.Server(ca.ServerOptions{Name: "ac1"})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := get(nil)
	if err := c.RenewServers(); err != nil {
		t.Fatal(err)
	}
	if after, _ := get(nil); after.Leaf.Equal(before.Leaf) {
		t.Error("the certificate is the one of before")
	}
}
