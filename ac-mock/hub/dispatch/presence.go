package dispatch

import (
	"container/list"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Two machines with one identity push each other out again and again. So many
// times within so long, and it is a clone and not a node that changed its way.
const (
	cloneTimes  = 3
	cloneWithin = time.Minute
)

// Presence decides which session of a node counts. Sessions have numbers that
// grow. It is a step function: no clock, no I/O, not safe for concurrent use.
type Presence struct {
	silence time.Duration
	byNode  map[api.NodeID]*presence
	order   *list.List // of *presence: who was heard longest ago is first
}

type presence struct {
	node    api.NodeID
	at      *list.Element
	session uint64    // 0: none
	heard   time.Time // when it last said something
	pushed  []time.Time
}

// NewPresence makes a Presence that calls a session dead after a silence.
func NewPresence(silence time.Duration) *Presence {
	return &Presence{silence: silence, byNode: map[api.NodeID]*presence{}, order: list.New()}
}

// Opened tells of a new session, and returns the one that it replaces, or 0.
func (p *Presence) Opened(node api.NodeID, session uint64, now time.Time) (replaced uint64) {
	n := p.byNode[node]
	if n == nil {
		n = &presence{node: node}
		p.byNode[node], n.at = n, p.order.PushBack(n)
	}
	replaced, n.session = n.session, session
	p.hear(n, now)
	return replaced
}

// Closed tells that a session has ended, and says whether the node is without
// one now. The end of a replaced session changes nothing.
func (p *Presence) Closed(node api.NodeID, session uint64) (gone bool) {
	n := p.byNode[node]
	if n == nil || n.session != session {
		return false
	}
	n.session = 0
	if len(n.pushed) == 0 {
		p.forget(n)
	}
	return true
}

// Answered tells that a replaced session took leave properly: there was a
// living machine behind it. It says whether that makes the node a clone.
func (p *Presence) Answered(node api.NodeID, now time.Time) (clone bool) {
	n := p.byNode[node]
	if n == nil {
		return false
	}
	// A time that is yet to come is of a clock that was ahead.
	n.pushed = slices.DeleteFunc(append(n.pushed, now), func(t time.Time) bool { return t.After(now) || now.Sub(t) > cloneWithin })
	if len(n.pushed) < cloneTimes {
		return false
	}
	n.pushed = nil
	return true
}

// Heard tells that a session said something, and whether it is the one that
// counts.
func (p *Presence) Heard(node api.NodeID, session uint64, now time.Time) (counts bool) {
	n := p.byNode[node]
	if n == nil || n.session != session {
		return false
	}
	p.hear(n, now)
	return true
}

// hear puts a node where it belongs in the order: at the end, unless the clock
// was set back.
func (p *Presence) hear(n *presence, now time.Time) {
	n.heard = now
	p.order.MoveToBack(n.at)
	for e := n.at.Prev(); e != nil && e.Value.(*presence).heard.After(now); e = n.at.Prev() {
		p.order.MoveBefore(n.at, e)
	}
}

func (p *Presence) forget(n *presence) {
	delete(p.byNode, n.node)
	p.order.Remove(n.at)
}

// Silent returns the nodes whose session said nothing for too long, by id.
func (p *Presence) Silent(now time.Time) []api.NodeID {
	var out []api.NodeID
	var next *list.Element
	for e := p.order.Front(); e != nil; e = next {
		next = e.Next()
		n := e.Value.(*presence)
		silent := now.Sub(n.heard)
		switch {
		case silent < p.silence:
			next = nil // all others were heard later
		case n.session != 0:
			out = append(out, n.node)
		case silent >= cloneWithin+p.silence:
			p.forget(n)
		}
	}
	slices.SortFunc(out, func(a, b api.NodeID) int { return strings.Compare(string(a), string(b)) })
	return out
}
