package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// maxNamed bounds the nodes, and the roles, that one address names.
const maxNamed = 1024

// ChangeRoles gives a node roles and takes others away. Errors wrap ErrUnknown,
// ErrState or ErrInput.
func (r *Registry) ChangeRoles(ctx context.Context, actor, ref string, q api.RolesRequest) (api.Node, error) {
	if len(q.Add)+len(q.Remove) == 0 {
		return api.Node{}, fmt.Errorf("roles of node %s: %w: none is named", ref, ErrInput)
	}
	n, err := r.operate(ctx, actor, "roles", ref, func(old enrol.Record) (change, error) {
		record, err := enrol.ChangeRoles(old, q)
		return change{record: record, same: slices.Equal(old.Roles, record.Roles), detail: "now " + orNone(record.Roles)}, err
	})
	if errors.Is(err, enrol.ErrRole) {
		err = fmt.Errorf("%w: %w", ErrInput, err)
	}
	return n, err
}

func orNone(roles []string) string {
	if len(roles) == 0 {
		return "none"
	}
	return strings.Join(roles, ", ")
}

// Resolve says which nodes an address means now, by id, each once: whoever it
// names is there and enrolled, or nobody is meant. Errors wrap ErrInput for an
// address that says nothing or too much, ErrUnknown for a node or role that
// there is not, ErrState for a node that is not enrolled.
func (r *Registry) Resolve(_ context.Context, a api.Address) ([]api.Node, error) {
	switch named := len(a.Nodes) + len(a.Roles); {
	case a.All && named > 0:
		return nil, fmt.Errorf("address: %w: it means all nodes and names some: say one of them", ErrInput)
	case !a.All && named == 0:
		return nil, fmt.Errorf("address: %w: it means nobody: name nodes or roles, or say all", ErrInput)
	case named > maxNamed:
		return nil, fmt.Errorf("address: %w: it names %d nodes and roles, at most %d are possible: give the nodes a role", ErrInput, named, maxNamed)
	}
	meant := map[api.NodeID]api.Node{}
	for _, ref := range a.Nodes {
		id, err := r.book.resolve(ref)
		if err != nil {
			return nil, err
		}
		n := r.book.viewOne(id)
		if n.State != api.NodeEnrolled {
			return nil, fmt.Errorf("node %s: %w: it is %s, and only enrolled nodes work", ref, ErrState, n.State)
		}
		meant[id] = n
	}
	if err := r.addRoles(meant, a); err != nil {
		return nil, err
	}
	list := make([]api.Node, 0, len(meant))
	for _, n := range meant {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b api.Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, nil
}

// addRoles adds the enrolled nodes that have a role of an address, or all.
func (r *Registry) addRoles(meant map[api.NodeID]api.Node, a api.Address) error {
	if !a.All && len(a.Roles) == 0 {
		return nil
	}
	missing := slices.Clone(a.Roles)
	for _, n := range r.book.view() {
		has := func(role string) bool { return slices.Contains(n.Roles, role) }
		if n.State == api.NodeEnrolled && (a.All || slices.ContainsFunc(a.Roles, has)) {
			meant[n.ID] = n
			missing = slices.DeleteFunc(missing, has)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("role %q: %w: no enrolled node has the role; g8os nodes shows which there are, g8os node role add gives one", missing[0], ErrUnknown)
	case a.All && len(meant) == 0:
		return fmt.Errorf("all nodes: %w: none is enrolled", ErrUnknown)
	}
	return nil
}
