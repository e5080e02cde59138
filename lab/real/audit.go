package real

import (
	"net/url"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/grid"
)

// audit follows what one AC has written into its audit: which keys and
// certificates it gave to whom, and in which state the record was then.
type audit struct {
	seq    uint64 // of the newest entry that was read
	states map[api.NodeID]api.NodeState
}

// What decisions of an AC are called in its audit (ac-mock/registry), and the
// states that an operator's lead to.
var (
	toNodes     = []string{"unlock", "confirm", "certificate"}
	byOperators = map[string]api.NodeState{
		"approve": api.NodeEnrolled, "release": api.NodeEnrolled, "quarantine": api.NodeQuarantined, "retire": api.NodeRetired,
	}
)

// read takes new entries in, oldest first; at turns their time into grid time.
func (a *audit) read(entries []api.AuditEntry, at func(time.Time) time.Duration) (releases []grid.Release, acts []grid.Act) {
	if a.states == nil {
		a.states = map[api.NodeID]api.NodeState{}
	}
	for _, e := range entries {
		if e.Seq <= a.seq {
			continue
		}
		a.seq = e.Seq
		if e.Decision != "granted" {
			a.refused(e)
			continue
		}
		if to, is := byOperators[e.Action]; is {
			a.states[e.Node] = to
		}
		if !slices.Contains(toNodes, e.Action) {
			continue
		}
		who, node := claimant(e)
		acts = append(acts, grid.Act{At: at(e.Time), Node: who, For: string(e.Node), What: e.Action})
		if e.Action == "unlock" {
			a.unlocked(e)
			releases = append(releases, grid.Release{
				At: at(e.Time), Node: string(e.Node), State: string(a.states[e.Node]), Proved: node && who == string(e.Node),
			})
		}
	}
	return releases, acts
}

// refused takes in what a refusal says of a record: one that is new waits for
// an operator, and so does one of which there may be two.
func (a *audit) refused(e api.AuditEntry) {
	switch e.Reason {
	case enrol.ReasonNew, enrol.ReasonMoved, enrol.ReasonRollback, enrol.ReasonTwoAlive:
		a.states[e.Node] = api.NodePending
	}
}

// unlocked takes in that a record got its key: policy open enrols one that is
// new by that.
func (a *audit) unlocked(e api.AuditEntry) {
	if e.Reason == enrol.ReasonEnrolled {
		a.states[e.Node] = api.NodeEnrolled
	}
}

// claimant is the record id in the certificate or proof of who asked; node is
// false when there was none, and who is an address then.
func claimant(e api.AuditEntry) (who string, node bool) {
	uri, err := url.Parse(e.Actor)
	if err != nil {
		return e.Actor, false
	}
	id, err := api.ParseIdentity([]*url.URL{uri})
	if err != nil || id.Role != api.RoleNode {
		return e.Actor, false
	}
	return id.Name, true
}
