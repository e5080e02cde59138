package rotate

import (
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Stage is a part of a rotation that all ACs go through together: the next one
// begins when each of them has done this one.
type Stage string

// The stages.
const (
	StageNodes  Stage = "nodes"  // the nodes, one by one (Machine)
	StageAccept Stage = "accept" // ca: the next issuing CA is accepted everywhere
	StageSign   Stage = "sign"   // ca: it signs everywhere
	StageRetire Stage = "retire" // ca: what the old one signed for nodes does not count any more
	StageRenew  Stage = "renew"  // server: each AC has a new certificate
	StageAdd    Stage = "add"    // master: each AC can open with the new key
	StageUse    Stage = "use"    // master: each AC seals with it
	StageReseal Stage = "reseal" // master: nothing is sealed under the old one
	StageDrop   Stage = "drop"   // master: no AC has the old one
)

// stages of each kind, in order.
var stages = map[api.RotateKind][]Stage{
	api.RotateUnlock: {StageNodes},
	api.RotateCert:   {StageNodes},
	api.RotateSSH:    {StageNodes},
	api.RotateCA:     {StageAccept, StageSign, StageNodes, StageRetire},
	api.RotateServer: {StageRenew},
	api.RotateMaster: {StageAdd, StageUse, StageReseal, StageDrop},
}

// First is the stage with which a rotation begins; empty: there is no such kind.
func First(k api.RotateKind) Stage {
	if all := stages[k]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// OnlyNodes says whether nothing but nodes keep a campaign from its end, or from
// its last stage: another one may take its place.
func (c Campaign) OnlyNodes() bool { return c.Stage == StageNodes }

// Advance takes a campaign to its next stage, or to its end.
func (c Campaign) Advance(now time.Time) Campaign {
	all := stages[c.Kind]
	at := slices.Index(all, c.Stage)
	if at < 0 || at == len(all)-1 {
		c.Done = now.UTC()
		return c
	}
	c.Stage, c.Staged = all[at+1], now.UTC()
	return c
}

// AC is what is stored of one AC: that it is there, and which stage of which
// rotation it has done last.
type AC struct {
	Name string                  `json:"name"`
	Seen time.Time               `json:"seen"`
	Did  map[api.RotateKind]Step `json:"did,omitempty"`
}

// Step is a stage of one campaign.
type Step struct {
	Campaign string `json:"campaign"`
	Stage    Stage  `json:"stage"`
	Why      string `json:"why,omitempty"` // it could not be done, and is tried again
}

// AwayAfter is how long after it was last seen an AC counts as away.
const AwayAfter = 90 * time.Second

// did says whether an AC has done the stage of a campaign that is on, or one
// after it.
func (a AC) did(c Campaign) bool {
	s := a.Did[c.Kind]
	all := stages[c.Kind]
	return s.Campaign == c.ID && s.Why == "" && slices.Index(all, s.Stage) >= slices.Index(all, c.Stage)
}

// Behind lists the ACs that a campaign waits for. One that is away is waited for
// too: it would come back with the old key only.
func Behind(c Campaign, acs []AC) (names []string) {
	for _, a := range acs {
		if !a.did(c) {
			names = append(names, a.Name)
		}
	}
	return names
}

// ACState is how far an AC has come, and what keeps it.
func ACState(c Campaign, a AC, now time.Time) (api.RotateState, string) {
	s := a.Did[c.Kind]
	at := -1
	if s.Campaign == c.ID {
		at = slices.Index(stages[c.Kind], s.Stage)
	}
	if s.Why != "" {
		at--
	}
	why := s.Why
	if s.Campaign != c.ID {
		why = ""
	}
	if why == "" && now.Sub(a.Seen) > AwayAfter {
		why = "it is away: start it, or remove it (g8os ac remove)"
	}
	switch {
	case !c.Done.IsZero() || at == len(stages[c.Kind])-1:
		return api.RotateRemoved, ""
	case at < 0:
		return api.RotateWaiting, why
	case at == 0:
		return api.RotateAdded, why
	}
	return api.RotateProved, why
}
