package registry

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// A share to rotate to comes beside the old one, once; the old one goes when
// the node says that it has no slot for it; the recovery key stays, and is
// given to nobody meanwhile.
func TestAShareIsRotated(t *testing.T) {
	g := newGrid(t)
	r, other := g.ac(enrol.ModeOpen), g.ac(enrol.ModeOpen)
	m := newMachine(t, 1)
	first := m.mustUnlock(r)
	m.mustConfirm(r, 1)
	for _, ac := range []*Registry{r, other, r} { // asked again, by whichever AC
		if target, err := ac.RotateShare(t.Context(), admin, m.id()); err != nil || target != 2 {
			t.Fatalf("generation %d, %v", target, err)
		}
	}
	m.claim.Generations = []uint32{1, 2}
	u := m.mustUnlock(other)
	if len(u.Shares) != 2 || bytes.Equal(u.Shares[0].Share, u.Shares[1].Share) || !bytes.Equal(u.Shares[0].Share, first.Shares[0].Share) {
		t.Fatalf("shares of generations 1 and 2: %d, different: %t", len(u.Shares), len(u.Shares) == 2)
	}
	if len(u.Recovery) != 0 {
		t.Error("the recovery key went out with a rotation")
	}
	m.mustConfirm(r, 2)
	m.claim.Generations = []uint32{1}
	if u := m.mustUnlock(r); len(u.Shares) != 1 || u.Shares[0].Generation != 1 {
		t.Fatal("the old share is gone before the node said that it does not need it")
	}
	if err := r.Confirm(t.Context(), m.peer, m.device, api.Confirm{NodeID: m.id(), Generation: 2, Alone: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.o.Store.Get(t.Context(), escrowKey(m.id(), 1)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old share in the store: %v", err)
	}
	if _, err := m.unlock(r); !errors.Is(err, api.ErrRefused) {
		t.Errorf("a disk that has the old slot only: %v", err)
	}
	recovery, err := r.Recovery(t.Context(), admin, string(m.id()), false)
	if err != nil || !bytes.Equal(recovery.Key, first.Recovery) {
		t.Errorf("the recovery key has changed, %v", err)
	}
	if f := r.Fact(m.id()); f.Confirmed != 2 || !slices.Equal(f.Generations, []uint32{2}) {
		t.Errorf("%+v", f)
	}
}

func TestAShareIsNotRotatedWhereThereIsNone(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeApprove)
	m := newMachine(t, 1)
	_, _ = m.unlock(r)
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RotateShare(t.Context(), admin, m.id()); !errors.Is(err, ErrState) {
		t.Errorf("a pending node: %v", err)
	}
	if _, err := r.RotateShare(t.Context(), admin, "020000000009"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown node: %v", err)
	}
	if _, err := r.Approve(t.Context(), admin, string(m.id())); err != nil {
		t.Fatal(err)
	}
	m.mustUnlock(r)
	if _, err := r.RotateShare(t.Context(), admin, m.id()); !errors.Is(err, ErrState) {
		t.Errorf("a node that has not confirmed a volume: %v", err)
	}
}
