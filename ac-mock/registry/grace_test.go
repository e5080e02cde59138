package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// A grace is in the settings of its node alone, as long as that is enrolled; who
// holds its session hears of each change, and the audit says what it trades.
func TestGraceIsToldAndAudited(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	one, two := newMachine(t, 1), newMachine(t, 2)
	two.claim.TPM = true
	one.mustUnlock(r)
	two.mustUnlock(r)
	day := api.Grace{ForMS: (24 * time.Hour).Milliseconds(), Boots: 3}
	changed := func(id api.NodeID) {
		t.Helper()
		select {
		case got := <-r.Resettled():
			if got != id {
				t.Errorf("%s has changed, want %s", got, id)
			}
		case <-time.After(10 * time.Second):
			t.Error("nobody is told")
		}
	}
	for _, id := range []api.NodeID{one.id(), two.id()} {
		if _, err := r.SetGrace(t.Context(), admin, string(id), day); err != nil {
			t.Fatal(err)
		}
		changed(id)
	}
	if r.Settings(one.id()).Grace != day || r.Settings("020000000009").Grace.On() {
		t.Error("the settings do not say so")
	}
	if n, err := r.Node(t.Context(), string(two.id())); err != nil || !n.TPM || n.Grace != day {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := r.Quarantine(t.Context(), admin, string(one.id()), "a test"); err != nil {
		t.Fatal(err)
	}
	changed(one.id())
	if r.Settings(one.id()).Grace.On() {
		t.Error("a quarantined node has a grace")
	}
	list, err := r.Audit(t.Context(), "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var details []string
	for _, e := range list {
		if e.Action == "grace" {
			details = append(details, e.Detail)
		}
	}
	if all := strings.Join(details, "\n"); len(details) != 2 || !strings.Contains(all, "no TPM") || !strings.Contains(all, "the whole machine") {
		t.Errorf("the audit says %q", details)
	}
}

func TestGraceThatCannotBe(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	m := newMachine(t, 1)
	m.mustUnlock(r)
	if _, err := r.SetGrace(t.Context(), admin, string(m.id()), api.Grace{ForMS: 1, Boots: 1}); !errors.Is(err, ErrInput) {
		t.Error(err)
	}
	if _, err := r.SetGrace(t.Context(), admin, "nobody", api.Grace{}); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := r.Retire(t.Context(), admin, string(m.id())); err != nil {
		t.Fatal(err)
	}
	if _, err := r.SetGrace(t.Context(), admin, string(m.id()), api.Grace{ForMS: time.Hour.Milliseconds(), Boots: 1}); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}
