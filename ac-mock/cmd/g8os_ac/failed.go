package main

import (
	"errors"
	"net/http"

	"github.com/g8os/g8os/ac-mock/cluster"
	"github.com/g8os/g8os/ac-mock/jobs/schedule"
	"github.com/g8os/g8os/ac-mock/jobs/schedule/due"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/ac-mock/releases"
	"github.com/g8os/g8os/ac-mock/rotate/drive"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/upgrade"
)

// failed says which of the registry's errors an operator can do something about.
func failed(err error) (status int, remedy string, ok bool) {
	switch {
	case errors.Is(err, registry.ErrUnknown):
		return http.StatusNotFound, "g8os nodes, g8os token list and g8os operator list show what there is", true
	case errors.Is(err, registry.ErrInput):
		return http.StatusBadRequest, "correct what was asked for; --help says what can be", true
	case errors.Is(err, registry.ErrState):
		return http.StatusConflict, "g8os node show NODE, g8os operator list and g8os audit say how it stands", true
	case errors.Is(err, upgrade.ErrInput), errors.Is(err, releases.ErrInput):
		return http.StatusBadRequest, "correct what was asked for; g8os upgrade core --help says what can be", true
	case errors.Is(err, upgrade.ErrRunning):
		return http.StatusConflict, "g8os upgrade status says how far it is", true
	case errors.Is(err, upgrade.ErrNone), errors.Is(err, releases.ErrNone):
		return http.StatusNotFound, "g8os upgrade core FILE brings a release to the ACs and begins", true
	case errors.Is(err, drive.ErrRunning):
		return http.StatusConflict, "g8os rotate status says what it waits for", true
	case errors.Is(err, drive.ErrKind):
		return http.StatusNotFound, "g8os rotate status lists those that there are or were; g8os rotate --help the kinds", true
	case errors.Is(err, drive.ErrNodes):
		return http.StatusConflict, "g8os nodes says which nodes are enrolled; the keys of ACs are rotated without naming nodes", true
	case errors.Is(err, schedule.ErrUnknown):
		return http.StatusNotFound, "g8os schedule list lists those that there are", true
	case errors.Is(err, schedule.ErrExists), errors.Is(err, schedule.ErrMany):
		return http.StatusConflict, "g8os schedule list lists those that there are; take another name, or remove one first", true
	case errors.Is(err, due.ErrInput), errors.Is(err, due.ErrCron):
		return http.StatusBadRequest, "g8os schedule add --help says what can be, and has examples", true
	case errors.Is(err, cluster.ErrUnknown), errors.Is(err, cluster.ErrExists):
		return http.StatusConflict, "g8os ac list lists the ACs", true
	case errors.Is(err, cluster.ErrLast):
		return http.StatusConflict, "add another AC first (g8os ac add)", true
	case errors.Is(err, cluster.ErrForeign):
		return http.StatusConflict, "etcd.peer_url in ac.toml is where other ACs reach this one; the operator of an etcd cluster of his own sees to its members", true
	case errors.Is(err, store.ErrUnavailable):
		return http.StatusServiceUnavailable, "most of the ACs have to be there for anything to be changed: g8os ac list; start those that are down. What runs goes on. Whether this was done shows then: g8os audit", true
	}
	return 0, "", false
}
