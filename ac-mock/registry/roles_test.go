package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// fleet is four enrolled nodes, of which two have one name, one that waits, and
// one that is retired: web is the role of 1 and 2, db of 2.
func fleet(t *testing.T, r *Registry) {
	t.Helper()
	for i := 1; i <= 6; i++ {
		m := newMachine(t, i)
		if i == 3 || i == 4 {
			m.claim.Hostname = "twin"
		}
		m.mustUnlock(r)
	}
	do := func(_ api.Node, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(r.ChangeRoles(t.Context(), admin, "node-1", api.RolesRequest{Add: []string{"web"}}))
	do(r.ChangeRoles(t.Context(), admin, "node-2", api.RolesRequest{Add: []string{"web", "db"}}))
	do(r.ChangeRoles(t.Context(), admin, "node-5", api.RolesRequest{Add: []string{"idle"}}))
	do(r.Suspect(t.Context(), admin, "node-5", "a test"))
	do(r.Retire(t.Context(), admin, "node-6"))
}

func TestResolve(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeOpen)
	if _, err := r.Resolve(t.Context(), api.Address{All: true}); !errors.Is(err, ErrUnknown) {
		t.Errorf("all nodes of an empty grid: %v", err)
	}
	fleet(t, r)
	for _, c := range []struct {
		to   api.Address
		want string // last digits of the ids
		err  error
		says string
	}{
		{api.Address{Nodes: []string{"node-1"}}, "1", nil, ""},
		{api.Address{Nodes: []string{"node-2", "02:00:00:00:00:01", "020000000002"}}, "12", nil, ""},
		{api.Address{Roles: []string{"web"}}, "12", nil, ""},
		{api.Address{Roles: []string{"db"}, Nodes: []string{"020000000003", "node-2"}}, "23", nil, ""},
		{api.Address{All: true}, "1234", nil, ""},
		{api.Address{}, "", ErrInput, "nobody"},
		{api.Address{All: true, Roles: []string{"web"}}, "", ErrInput, "say one of them"},
		{api.Address{Nodes: make([]string, maxNamed+1)}, "", ErrInput, "give the nodes a role"},
		{api.Address{Nodes: []string{"node-1", "node-9"}}, "", ErrUnknown, `"node-9"`},
		{api.Address{Nodes: []string{""}}, "", ErrUnknown, `""`},
		{api.Address{Nodes: []string{"twin"}}, "", ErrUnknown, "020000000003, 020000000004; say which"},
		{api.Address{Nodes: []string{"node-5"}}, "", ErrState, "it is pending"},
		{api.Address{Nodes: []string{"node-6"}}, "", ErrState, "it is retired"},
		{api.Address{Roles: []string{"web", "wbe"}}, "", ErrUnknown, `role "wbe"`},
		{api.Address{Roles: []string{"idle"}}, "", ErrUnknown, "no enrolled node has the role"},
	} {
		list, err := r.Resolve(t.Context(), c.to)
		var got string
		for _, n := range list {
			got += string(n.ID[len(n.ID)-1:])
		}
		if !errors.Is(err, c.err) || got != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %q, %v; want %q, %v with %q", c.to, got, err, c.want, c.err, c.says)
		}
	}
}

// A change of roles is in the audit with who made it and what they are now; it
// is the same at every AC; what changes nothing leaves no trace.
func TestRolesAreAudited(t *testing.T) {
	g := newGrid(t)
	r, other := g.ac(enrol.ModeOpen), g.ac(enrol.ModeOpen)
	newMachine(t, 1).mustUnlock(r)
	if _, err := r.ChangeRoles(t.Context(), admin, "node-1", api.RolesRequest{Add: []string{"web"}}); err != nil {
		t.Fatal(err)
	}
	if e := lastEntry(t, r); e.Action != "roles" || e.Actor != admin || e.Detail != "now web" {
		t.Errorf("the audit has %+v", e)
	}
	eventually(t, other, "the role is known at the other AC", func() bool {
		n, err := other.Node(t.Context(), "node-1")
		return err == nil && len(n.Roles) == 1
	})
	n, err := other.ChangeRoles(t.Context(), admin, "020000000001", api.RolesRequest{Add: []string{"db"}})
	if err != nil || fmt.Sprint(n.Roles) != "[db web]" {
		t.Errorf("at another AC: %q, %v", n.Roles, err)
	}
	before := lastEntry(t, other)
	for _, q := range []api.RolesRequest{{Add: []string{"web"}}, {Remove: []string{"mail"}}} {
		if n, err := other.ChangeRoles(t.Context(), admin, "node-1", q); err != nil || len(n.Roles) != 2 {
			t.Errorf("%+v: %q, %v", q, n.Roles, err)
		}
	}
	for _, q := range []api.RolesRequest{{}, {Add: []string{"Web"}}} {
		if _, err := other.ChangeRoles(t.Context(), admin, "node-1", q); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if e := lastEntry(t, other); e.Seq != before.Seq {
		t.Errorf("what changed nothing is in the audit: %+v", e)
	}
	if _, err := other.ChangeRoles(t.Context(), admin, "node-9", api.RolesRequest{Add: []string{"web"}}); !errors.Is(err, ErrUnknown) {
		t.Errorf("a node that there is not: %v", err)
	}
}
