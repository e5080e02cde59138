// Package rotate decides how the keys of a grid are replaced, node by node:
// who is to be asked now, how far each has come, and when nobody holds the old
// key any more.
//
//	waiting ──asked──▶ added ──▶ proved ──▶ removed
//	            ▲                   │
//	            └── asked again ────┘   what is done already is not done again
//
// It promises that how far a node has come is read from what is durable (its
// record, or its answer), never from what was asked: an AC that is killed, or
// another one that goes on in its place, finds everything it needs. No more
// than so many nodes are asked at once, none again before a while, and none
// while the rotation is paused. Everything is a function of its arguments;
// ac-mock/rotate/drive is the shell. It makes no key.
package rotate

import (
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Campaign is one rotation of a kind, as it is stored. The last one of each
// kind is kept.
type Campaign struct {
	ID      string         `json:"id"`
	Kind    api.RotateKind `json:"kind"`
	Started time.Time      `json:"started"`
	By      string         `json:"by"` // operator, or AC where a schedule began it
	Paused  bool           `json:"paused,omitempty"`
	Overlap time.Duration  `json:"overlap,omitempty"` // ssh: see api.RotateRequest
	Done    time.Time      `json:"done,omitzero"`
	// Stage and Staged are how far a rotation has come that is not the nodes' alone, and since when.
	Stage  Stage     `json:"stage,omitempty"`
	Staged time.Time `json:"staged,omitzero"`
}

// Live says whether there is something to do for it.
func (c Campaign) Live() bool { return c.ID != "" && c.Done.IsZero() && !c.Paused }

// Entry is one node of a campaign, as it is stored: its key as it was at the
// beginning, and what it answered if nothing else shows that it is done.
type Entry struct {
	ID         string    `json:"id"`                   // of the campaign
	Generation uint32    `json:"generation,omitempty"` // unlock: confirmed at the beginning
	Issued     time.Time `json:"issued,omitzero"`      // cert: issue time of the last one at the beginning
	Done       bool      `json:"done,omitempty"`       // ssh: as it answered
	Why        string    `json:"why,omitempty"`        // of the last answer that it could not
}

// Fact is what an AC knows of a node now.
type Fact struct {
	Name        string
	State       api.NodeState // empty: there is no such node
	Confirmed   uint32
	Generations []uint32
	Issued      time.Time // of the last certificate or revocation
	Certificate bool      // it has one that counts
	Here        bool      // it has a session with this AC
	Online      bool      // it has one with some AC
}

// Begin notes the key that a node is to give up.
func Begin(campaign string, f Fact) Entry {
	return Entry{ID: campaign, Generation: f.Confirmed, Issued: f.Issued}
}

// State is how far a node has come. A retired node holds nothing.
func State(k api.RotateKind, e Entry, f Fact) api.RotateState {
	if f.State == "" || f.State == api.NodeRetired {
		return api.RotateRemoved
	}
	switch k {
	case api.RotateUnlock:
		return shareState(e, f)
	case api.RotateCert, api.RotateCA: // a newer one voids the one before it
		if f.Certificate && f.Issued.After(e.Issued) {
			return api.RotateRemoved
		}
	default:
		if e.Done {
			return api.RotateRemoved
		}
	}
	return api.RotateWaiting
}

func shareState(e Entry, f Fact) api.RotateState {
	n := len(f.Generations)
	switch {
	case n == 0:
		return api.RotateRemoved // it has none at all
	case f.Confirmed > e.Generation && f.Generations[0] == f.Confirmed:
		return api.RotateRemoved
	case f.Confirmed > e.Generation:
		return api.RotateProved
	case f.Generations[n-1] > e.Generation:
		return api.RotateAdded
	}
	return api.RotateWaiting
}

// Why says what keeps a node that is not done, or nothing.
func Why(e Entry, f Fact) string {
	switch {
	case f.State != api.NodeEnrolled:
		return "it is " + string(f.State)
	case e.Why != "":
		return e.Why
	case !f.Online:
		return "it is away"
	}
	return ""
}

// Pace bounds what a rotation asks of a grid.
type Pace struct {
	Width int           // most nodes under way at once, at each AC
	Again time.Duration // a node that does not come to an end is asked again after it
}

// DefaultPace is gentle on an AC: a node is done within a second or two.
var DefaultPace = Pace{Width: 16, Again: 30 * time.Second}

// Machine paces one campaign at one AC. It is a step function: no clock, no
// I/O, not safe for concurrent use.
type Machine struct {
	kind    api.RotateKind
	pace    Pace
	entries map[api.NodeID]Entry
	order   []api.NodeID
	asked   map[api.NodeID]time.Time // not before Again after it is asked again
	under   map[api.NodeID]bool      // asked, and neither done nor answered
}

// NewMachine makes a Machine that has asked nobody.
func NewMachine(k api.RotateKind, p Pace, entries map[api.NodeID]Entry) *Machine {
	m := &Machine{kind: k, pace: p, entries: entries, asked: map[api.NodeID]time.Time{}, under: map[api.NodeID]bool{}}
	for id := range entries {
		m.order = append(m.order, id)
	}
	slices.SortFunc(m.order, func(a, b api.NodeID) int { return strings.Compare(string(a), string(b)) })
	return m
}

// Step says which nodes to ask now, by id, and whether all are done.
func (m *Machine) Step(now time.Time, fact func(api.NodeID) Fact) (ask []api.NodeID, done bool) {
	done = true
	left := m.order[:0:0]
	for _, id := range m.order {
		f := fact(id)
		if State(m.kind, m.entries[id], f) == api.RotateRemoved {
			delete(m.under, id)
			continue
		}
		left, done = append(left, id), false
		if at, ok := m.asked[id]; ok && now.Sub(at) >= m.pace.Again || !f.Here {
			delete(m.under, id)
		}
	}
	for _, id := range left {
		if len(m.under) >= m.pace.Width {
			break
		}
		f := fact(id)
		at, asked := m.asked[id]
		if m.under[id] || !f.Here || f.State != api.NodeEnrolled || asked && now.Sub(at) < m.pace.Again && !at.After(now) {
			continue
		}
		m.asked[id], m.under[id] = now, true
		ask = append(ask, id)
	}
	return ask, done
}

// Answered takes a node's answer, and returns its entry if that has changed and
// is to be kept.
func (m *Machine) Answered(id api.NodeID, a api.Rotate) (e Entry, changed bool) {
	e, ok := m.entries[id]
	if !ok || a.ID != e.ID {
		return e, false
	}
	delete(m.under, id)
	before := e
	e.Done, e.Why = e.Done || a.Done, api.Shown(a.Error, maxWhy)
	m.entries[id] = e
	return e, e != before
}

// maxWhy bounds what is kept of a node's answer, in bytes.
const maxWhy = 200
