package enrol

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
)

// ErrState is wrapped when a record's state does not allow what an operator
// asked for.
var ErrState = errors.New("not possible in the node's state")

// Approve enrols a pending record with the device key it shows, and takes the
// counter from its next claim. It changes nothing in an enrolled one.
func Approve(r Record) (Record, error) {
	switch r.State {
	case api.NodeEnrolled:
		return r, nil
	case api.NodePending:
		r = r.clone()
		r.State, r.Reason, r.Rebase, r.Boots = api.NodeEnrolled, "", true, nil
		r.MACs, r.Offered = union(r.MACs, r.Offered), nil
		return r, nil
	case api.NodeQuarantined:
		return r, fmt.Errorf("node %s: %w: it is quarantined; release it", r.ID, ErrState)
	}
	return r, fmt.Errorf("node %s: %w: it is retired, its keys are deleted; the machine can come back with an empty disk and will then be new", r.ID, ErrState)
}

// Retire ends a record: the caller deletes the shares of drop and revokes the
// certificates. The device key never comes back.
func Retire(r Record) (_ Record, drop []uint32) {
	if r.State == api.NodeRetired {
		return r, nil
	}
	r = r.clone()
	sum := sha256.Sum256(r.Device)
	r.Retired = append(r.Retired, sum[:])
	r.Retired = r.Retired[max(0, len(r.Retired)-keepRetired):]
	drop, r.Generations, r.Confirmed = r.Generations, nil, 0
	r.State, r.Reason, r.Held, r.Offered, r.Boots, r.Roles = api.NodeRetired, "", "", nil, nil, nil
	r.Grace, r.Drained = api.Grace{}, nil
	return r, drop
}

// Recover notes that the recovery key of a node's volume is shown to an operator:
// once, or again if that is meant. Two who hold it are one too many, unless
// somebody knows of both.
func Recover(r Record, by string, again bool, now time.Time) (Record, error) {
	switch {
	case r.State == api.NodeRetired:
		return r, fmt.Errorf("node %s: %w: it is retired, its keys are deleted", r.ID, ErrState)
	case r.Confirmed == 0:
		return r, fmt.Errorf("node %s: %w: it has no volume in use", r.ID, ErrState)
	case r.Recovered != nil && !again:
		return r, fmt.Errorf("node %s: %w: its recovery key was shown at %s to %s; if it is lost, ask with --again",
			r.ID, ErrState, r.Recovered.At.Format(time.RFC3339), r.Recovered.By)
	}
	r = r.clone()
	r.Recovered = &Shown{By: by, At: now.UTC()}
	return r, nil
}

// Suspect sends an enrolled record to pending, because there seem to be two of
// it: an operator has to say which is the node, and no certificate of either
// counts any more. A record in another state stays as it is.
func Suspect(r Record, why string) Record {
	if r.State != api.NodeEnrolled {
		return r
	}
	r = r.clone()
	r.State, r.Reason, r.Certificate = api.NodePending, why, nil
	return r
}

// Quarantine shuts a record out until Release; of its keys nothing is deleted,
// but its certificates do not count any more, also after Release.
func Quarantine(r Record, why string) (Record, error) {
	switch r.State {
	case api.NodeQuarantined:
		return r, nil
	case api.NodePending, api.NodeEnrolled:
		r = r.clone()
		r.Held, r.State, r.Reason, r.Certificate = r.State, api.NodeQuarantined, why, nil
		return r, nil
	}
	return r, fmt.Errorf("node %s: %w: it is %s", r.ID, ErrState, r.State)
}

// Release takes a record out of quarantine, into the state it had before.
func Release(r Record) (Record, error) {
	if r.State != api.NodeQuarantined {
		return r, fmt.Errorf("node %s: %w: it is %s, not quarantined", r.ID, ErrState, r.State)
	}
	r = r.clone()
	r.State, r.Held, r.Reason = r.Held, "", ""
	if !slices.Contains([]api.NodeState{api.NodePending, api.NodeEnrolled}, r.State) {
		r.State = api.NodePending
	}
	if r.State == api.NodePending {
		r.Reason = ReasonPending
	}
	return r, nil
}
