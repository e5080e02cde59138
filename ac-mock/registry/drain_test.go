package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// A node that is drained takes no jobs, at any AC and after a restart of them,
// until that is undone; each of the two is in the audit once.
func TestDrain(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	one, two := newMachine(t, 1), newMachine(t, 2)
	one.mustUnlock(r)
	two.mustUnlock(r)
	for range 2 {
		if n, err := r.Drain(t.Context(), admin, "node-1"); err != nil || !n.Drained {
			t.Fatalf("%+v, %v", n, err)
		}
	}
	for _, ac := range []*Registry{r, g.ac(enrol.ModeOpen)} {
		if err := ac.TakesJobs(one.id()); !errors.Is(err, ErrDrained) || !strings.Contains(err.Error(), admin) {
			t.Errorf("drained: %v", err)
		}
		for _, id := range []api.NodeID{two.id(), "020000000009"} {
			if err := ac.TakesJobs(id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	for range 2 {
		if n, err := r.Undrain(t.Context(), admin, string(one.id())); err != nil || n.Drained {
			t.Fatalf("%+v, %v", n, err)
		}
	}
	if err := r.TakesJobs(one.id()); err != nil {
		t.Error(err)
	}
	list, err := r.Audit(t.Context(), "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var did []string
	for _, e := range list {
		if strings.HasSuffix(e.Action, "drain") && e.Node == one.id() {
			did = append(did, e.Action)
		}
	}
	if strings.Join(did, " ") != "drain undrain" {
		t.Errorf("audited: %q", did)
	}
}

func TestWhatCannotBeDrained(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	m := newMachine(t, 1)
	m.mustUnlock(r)
	if _, err := r.Drain(t.Context(), admin, "nobody"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := r.Drain(t.Context(), admin, "node-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Retire(t.Context(), admin, "node-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Drain(t.Context(), admin, string(m.id())); !errors.Is(err, ErrState) {
		t.Error(err)
	}
	if err := r.TakesJobs(m.id()); err != nil { // the machine that comes next is another one
		t.Error(err)
	}
}
