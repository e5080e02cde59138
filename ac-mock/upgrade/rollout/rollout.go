// Package rollout decides how a new g8os_core goes over a grid: which nodes are
// begun now, when the next step begins, and when nobody new is.
//
//	step 0: canaries ──all proved, pause──▶ step 1 ──all proved, pause──▶ … ──▶ done
//	            │ failures                     │
//	            └──────────────▶ halted ◀──────┘   resume: these failures are forgiven
//
// It promises that a step begins only when every node of those before it has
// ended, or is away and is no canary; that so many failures halt it; and
// that what it decides follows from what is stored, so that any AC, at any
// moment, goes on where another was killed. A node that was away has its turn
// when it is back. Everything is a function of its arguments; ac-mock/upgrade
// is the shell.
package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// State of a plan.
type State string

// The states. A halted plan can be resumed, as a paused one.
const (
	Running State = "running"
	Paused  State = "paused"
	Halted  State = "halted"
	Done    State = "done"
)

// Plan is an upgrade as it is stored.
type Plan struct {
	ID             string        `json:"id"`
	Release        api.Release   `json:"release"`
	By             string        `json:"by"`
	Started        time.Time     `json:"started"`
	Pause          time.Duration `json:"pause"`      // between two steps
	HaltAfter      int           `json:"halt_after"` // failures; 0: never
	AllowDowngrade bool          `json:"allow_downgrade,omitempty"`
	Prove          time.Duration `json:"prove,omitempty"`
	Steps          int           `json:"steps"`

	State    State     `json:"state"`
	Why      string    `json:"why,omitempty"`
	Step     int       `json:"step"`               // the last that was begun
	Settled  time.Time `json:"settled,omitzero"`   // since when nobody of it is waited for
	Forgiven int       `json:"forgiven,omitempty"` // failures before it was resumed
	Ended    time.Time `json:"ended,omitzero"`
}

// Entry is one node of a plan, as it is stored.
type Entry struct {
	ID    string           `json:"id"` // of the plan
	Step  int              `json:"step"`
	State api.UpgradeState `json:"state"`
	Why   string           `json:"why,omitempty"`
}

// Fact is what an AC knows of a node now.
type Fact struct {
	Name     string
	Enrolled bool
	Here     bool // it has a session with this AC
	Online   bool // it has one with some AC
}

// Width is how many nodes an AC has under way at once: each fetches some tens
// of MiB.
const Width = 32

// Divide gives each node its step: the canaries are online if enough are,
// and after them come so many percent of all at a time.
func Divide(ids []api.NodeID, fact func(api.NodeID) Fact, canaries, percent int) (step map[api.NodeID]int, steps int) {
	order := slices.Clone(ids)
	away := func(id api.NodeID) int {
		if fact(id).Online {
			return 0
		}
		return 1
	}
	slices.SortFunc(order, func(a, b api.NodeID) int { return cmp.Or(cmp.Compare(away(a), away(b)), cmp.Compare(a, b)) })
	step = map[api.NodeID]int{}
	canaries = min(canaries, len(order))
	for _, id := range order[:canaries] {
		step[id] = 0
	}
	if canaries > 0 {
		steps = 1
	}
	size := max(1, (len(order)*percent+99)/100)
	for some := range slices.Chunk(order[canaries:], size) {
		for _, id := range some {
			step[id] = steps
		}
		steps++
	}
	return step, steps
}

// Next says what to do now: the plan as it is to be stored, and which nodes to
// ask. Mine are those that this AC waits for already.
func Next(p Plan, entries map[api.NodeID]Entry, mine map[api.NodeID]bool, fact func(api.NodeID) Fact, now time.Time) (Plan, []api.NodeID) {
	if p.State == Done || p.State == Halted && !p.Ended.IsZero() && !underWay(entries) {
		return p, nil
	}
	if failed := failures(entries); p.State == Running && p.HaltAfter > 0 && len(failed)-p.Forgiven >= p.HaltAfter {
		p.State, p.Why = Halted, halted(failed[p.Forgiven:], fact)
	}
	ask := due(p, entries, mine, fact)
	if p.State != Running {
		return p, ask
	}
	return advance(p, entries, fact, now), ask
}

func underWay(entries map[api.NodeID]Entry) bool {
	for _, e := range entries {
		if e.State == api.UpgradeUnderWay {
			return true
		}
	}
	return false
}

// due lists the nodes to ask, by id. Who is under way and waited for by nobody
// is asked again, whatever becomes of the plan: he answers the same.
func due(p Plan, entries map[api.NodeID]Entry, mine map[api.NodeID]bool, fact func(api.NodeID) Fact) (ask []api.NodeID) {
	for _, id := range sorted(entries) {
		e, f := entries[id], fact(id)
		begun := e.State == api.UpgradeUnderWay
		mayBegin := e.State == api.UpgradeWaiting && e.Step <= p.Step && p.State == Running
		if f.Here && f.Enrolled && !mine[id] && (begun || mayBegin) && len(mine)+len(ask) < Width {
			ask = append(ask, id)
		}
	}
	return ask
}

// advance takes a plan whose step is over to the next one.
func advance(p Plan, entries map[api.NodeID]Entry, fact func(api.NodeID) Fact, now time.Time) Plan {
	last := p.Step >= p.Steps-1
	for id, e := range entries {
		if e.Step > p.Step || e.State.Ended() {
			continue
		}
		f := fact(id)
		away := !f.Enrolled || !f.Online && e.State == api.UpgradeWaiting && e.Step > 0 && !last
		if !away {
			p.Settled = time.Time{}
			return p
		}
	}
	switch {
	case last:
		p.State, p.Ended = Done, now.UTC()
	case p.Settled.IsZero():
		p.Settled = now.UTC()
	}
	if !last && now.Sub(p.Settled) >= p.Pause {
		p.Step, p.Settled = p.Step+1, time.Time{}
	}
	return p
}

// Told is a plan after an operator's word: pause, resume or halt.
func Told(p Plan, entries map[api.NodeID]Entry, do, by string, now time.Time) (Plan, error) {
	switch do {
	case "pause":
		p.State, p.Why = Paused, "by "+by
	case "resume":
		p.State, p.Why, p.Forgiven = Running, "", len(failures(entries))
	case "halt":
		if p.State != Halted {
			p.State, p.Why = Halted, "by "+by
		}
		p.Ended = now.UTC()
	default:
		return p, fmt.Errorf("an upgrade cannot be told to %.40q: want pause, resume or halt", do)
	}
	return p, nil
}

func failures(entries map[api.NodeID]Entry) (ids []failure) {
	for _, id := range sorted(entries) {
		if e := entries[id]; e.State == api.UpgradeRolledBack || e.State == api.UpgradeRefused {
			ids = append(ids, failure{id, e})
		}
	}
	return ids
}

type failure struct {
	id api.NodeID
	Entry
}

func halted(failed []failure, fact func(api.NodeID) Fact) string {
	first := failed[0]
	why := fmt.Sprintf("%s: %s: %s", cmp.Or(fact(first.id).Name, string(first.id)), first.State, first.Why)
	if len(failed) > 1 {
		why = fmt.Sprintf("%d nodes failed; %s", len(failed), why)
	}
	return why
}

// Why says what a node that has not ended waits for, or nothing.
func Why(p Plan, e Entry, f Fact) string {
	switch {
	case e.Why != "" || e.State.Ended():
		return e.Why
	case !f.Enrolled:
		return "it is not enrolled any more"
	case !f.Online:
		return "it is away"
	case e.State == api.UpgradeWaiting && e.Step > p.Step:
		return fmt.Sprintf("its step is %d", e.Step)
	}
	return ""
}

func sorted(entries map[api.NodeID]Entry) []api.NodeID {
	ids := make([]api.NodeID, 0, len(entries))
	for id := range entries {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b api.NodeID) int { return strings.Compare(string(a), string(b)) })
	return ids
}
