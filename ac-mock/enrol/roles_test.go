package enrol

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
)

func TestChangeRoles(t *testing.T) {
	var many []string
	for i := range maxRoles {
		many = append(many, fmt.Sprint("r", i))
	}
	slices.Sort(many)
	for _, c := range []struct {
		has, add, remove []string
		state            api.NodeState
		want             []string // nil: none
		err              error
	}{
		{nil, []string{"web", "db", "web"}, nil, api.NodeEnrolled, []string{"db", "web"}, nil},
		{[]string{"db", "web"}, []string{"web"}, []string{"db", "other"}, api.NodePending, []string{"web"}, nil},
		{[]string{"db"}, nil, []string{"db"}, api.NodeQuarantined, nil, nil},
		{many, []string{"r0"}, nil, api.NodeEnrolled, many, nil},
		{many, []string{"new"}, []string{"r0"}, api.NodeEnrolled, append([]string{"new"}, slices.DeleteFunc(slices.Clone(many), func(r string) bool { return r == "r0" })...), nil},
		{many, []string{"new"}, nil, api.NodeEnrolled, many, ErrRole},
		{nil, []string{"web"}, []string{"web"}, api.NodeEnrolled, nil, ErrRole},
		{nil, []string{""}, nil, api.NodeEnrolled, nil, ErrRole},
		{nil, []string{"Web"}, nil, api.NodeEnrolled, nil, ErrRole},
		{nil, []string{"a b"}, nil, api.NodeEnrolled, nil, ErrRole},
		{nil, []string{"web\x1b[2J"}, nil, api.NodeEnrolled, nil, ErrRole},
		{nil, []string{strings.Repeat("a", maxRoleName)}, nil, api.NodeEnrolled, []string{strings.Repeat("a", maxRoleName)}, nil},
		{nil, []string{strings.Repeat("a", maxRoleName+1)}, nil, api.NodeEnrolled, nil, ErrRole},
		{nil, nil, []string{"é"}, api.NodeEnrolled, nil, ErrRole},
		{nil, []string{"web"}, nil, api.NodeRetired, nil, ErrState},
	} {
		old := Record{ID: "020000000001", State: c.state, Roles: c.has}
		before := slices.Clone(c.has)
		r, err := ChangeRoles(old, api.RolesRequest{Add: c.add, Remove: c.remove})
		if !errors.Is(err, c.err) || !slices.Equal(r.Roles, c.want) || !slices.Equal(old.Roles, before) {
			t.Errorf("%q and %q, without %q: %q, %v; want %q, %v", c.has, c.add, c.remove, r.Roles, err, c.want, c.err)
		}
	}
}

// Who comes back after it was retired is a new machine: nobody gave it work, or
// said that it is to do none.
func TestRetiredHasNoRoles(t *testing.T) {
	r, _ := Retire(Record{ID: "020000000001", State: api.NodeEnrolled, Roles: []string{"web"}, Drained: &Shown{By: "ann"}})
	if len(r.Roles) > 0 || r.Drained != nil {
		t.Errorf("it still is for %q, and drained: %v", r.Roles, r.Drained)
	}
}
