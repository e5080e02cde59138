package enrol

import (
	"errors"
	"fmt"
	"slices"

	"github.com/g8os/g8os/core/api"
)

// ErrRole is wrapped when roles are asked for that a node cannot have.
var ErrRole = errors.New("not a role that a node can have")

// Bounds of a node's roles.
const (
	maxRoles    = 32
	maxRoleName = 32 // bytes
)

// ChangeRoles gives a record roles and takes others away, as an operator says:
// what the node is for, as jobs name it. To add one that is there, or to remove
// one that is not, changes nothing. Errors wrap ErrRole or ErrState.
func ChangeRoles(r Record, q api.RolesRequest) (Record, error) {
	if r.State == api.NodeRetired {
		return r, fmt.Errorf("roles of node %s: %w: it is retired, and does nothing any more", r.ID, ErrState)
	}
	for _, name := range slices.Concat(q.Add, q.Remove) {
		if !roleName(name) {
			return r, fmt.Errorf("%w: %q: want 1 to %d of a-z, 0-9 and -", ErrRole, api.Shown(name, maxRoleName), maxRoleName)
		}
		if slices.Contains(q.Add, name) && slices.Contains(q.Remove, name) {
			return r, fmt.Errorf("%w: %s is to be added and to be removed: say one of them", ErrRole, name)
		}
	}
	roles := slices.Concat(r.Roles, q.Add)
	slices.Sort(roles)
	roles = slices.DeleteFunc(slices.Compact(roles), func(name string) bool { return slices.Contains(q.Remove, name) })
	if len(roles) > maxRoles {
		return r, fmt.Errorf("%w: node %s would have %d roles, at most %d are possible: remove some", ErrRole, r.ID, len(roles), maxRoles)
	}
	r = r.clone()
	r.Roles = roles
	return r, nil
}

// roleName says whether a role can be named so.
func roleName(name string) bool {
	for _, c := range []byte(name) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return name != "" && len(name) <= maxRoleName
}
