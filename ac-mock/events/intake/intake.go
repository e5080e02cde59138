// Package intake decides which of the events that nodes send are written next.
//
// It promises that each node gets its turn, however many events another one
// sends; that a node's events are written in its order, so that "safe up to
// this number" is true when it is said; that a node that sends more than it may
// (api.MaxEvents) has the rest ignored until it sends them again, oldest first;
// and that what it keeps is bounded. It is a step function: the caller writes.
package intake

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/g8os/g8os/core/api"
)

const (
	// room is how many events of a node can wait: those of one session, and again
	// of the next.
	room = 2 * api.MaxEvents
	// perSecond and burst bound how fast a node's events are written. The others
	// wait with the node.
	perSecond, burst = 5, api.MaxEvents
	// most bounds what waits of all nodes.
	most = 16_384
	// forget is after how long a node that is silent is forgotten.
	forget = 10 * time.Minute
)

// Item is an event of a node.
type Item struct {
	Node  api.NodeID
	Event api.NodeEvent
}

// Intake is what waits at one AC. It is not safe for concurrent use.
type Intake struct {
	nodes   map[api.NodeID]*node
	turns   []api.NodeID // of those that have something waiting, who is next first
	waiting int
	flight  []Item // what is being written
	tidied  time.Time
}

type node struct {
	queue   []api.NodeEvent
	missed  uint64 // the first that was ignored; 0: none
	limiter *rate.Limiter
	seen    time.Time
}

// New makes an Intake without anything.
func New() *Intake { return &Intake{nodes: map[api.NodeID]*node{}} }

// Take takes an event of a node, and says whether it will be written: what is
// ignored comes again.
func (in *Intake) Take(id api.NodeID, e api.NodeEvent, now time.Time) bool {
	in.tidy(now)
	n := in.nodes[id]
	if n == nil {
		n = &node{limiter: rate.NewLimiter(perSecond, burst)}
		in.nodes[id] = n
	}
	n.seen = now
	same := func(x api.NodeEvent) bool { return x.Seq == e.Seq && x.Time.Equal(e.Time) }
	switch {
	case slices.ContainsFunc(n.queue, same) || slices.ContainsFunc(in.flight, func(x Item) bool { return x.Node == id && same(x.Event) }):
		return true
	case n.missed != 0 && e.Seq > n.missed:
		return false
	case len(n.queue) >= room || in.waiting >= most:
		n.missed = e.Seq
		return false
	}
	n.missed = 0
	if len(n.queue) == 0 {
		in.turns = append(in.turns, id)
	}
	n.queue = append(n.queue, e)
	in.waiting++
	return true
}

// Next hands out what is to be written now: at most limit events, of each node in
// turn. Then comes Written or Failed.
func (in *Intake) Next(now time.Time, limit int) []Item {
	var held []api.NodeID // of them none may be written now
	for len(in.flight) < limit && len(in.turns) > 0 {
		id := in.turns[0]
		in.turns = in.turns[1:]
		n := in.nodes[id]
		if !n.limiter.AllowN(now, 1) {
			held = append(held, id)
			continue
		}
		in.flight = append(in.flight, Item{id, n.queue[0]})
		n.queue = n.queue[1:]
		in.waiting--
		if len(n.queue) > 0 {
			in.turns = append(in.turns, id)
		}
	}
	in.turns = append(held, in.turns...)
	return in.flight
}

// Wait is how long to wait for Next to have something; false: until Take.
func (in *Intake) Wait(now time.Time) (time.Duration, bool) {
	if len(in.turns) == 0 {
		return 0, false
	}
	shortest := time.Duration(1<<63 - 1)
	for _, id := range in.turns {
		missing := 1 - in.nodes[id].limiter.TokensAt(now)
		shortest = min(shortest, time.Duration(max(missing, 0)/perSecond*float64(time.Second))+time.Millisecond)
	}
	return shortest, true
}

// Ack says that a node's events up to a number are safe.
type Ack struct {
	Node api.NodeID
	Seq  uint64
}

// Written tells that what Next has handed out is safe.
func (in *Intake) Written() (acks []Ack) {
	last := map[api.NodeID]uint64{}
	for _, x := range in.flight {
		last[x.Node] = x.Event.Seq
	}
	in.flight = nil
	for id, seq := range last {
		acks = append(acks, Ack{id, seq})
	}
	slices.SortFunc(acks, func(a, b Ack) int { return cmp.Compare(a.Node, b.Node) })
	return acks
}

// Failed tells that it could not be written: it comes again.
func (in *Intake) Failed() {
	for _, x := range slices.Backward(in.flight) {
		n := in.nodes[x.Node]
		if len(n.queue) == 0 {
			in.turns = append(in.turns, x.Node)
		}
		n.queue = append([]api.NodeEvent{x.Event}, n.queue...)
		in.waiting++
	}
	in.flight = nil
}

// Waiting is how many events wait.
func (in *Intake) Waiting() int { return in.waiting + len(in.flight) }

// tidy forgets nodes that have been silent, now and then.
func (in *Intake) tidy(now time.Time) {
	if now.Sub(in.tidied).Abs() < forget {
		return
	}
	in.tidied = now
	busy := map[api.NodeID]bool{}
	for _, x := range in.flight {
		busy[x.Node] = true
	}
	for id, n := range in.nodes {
		if len(n.queue) == 0 && !busy[id] && now.Sub(n.seen).Abs() >= forget {
			delete(in.nodes, id)
		}
	}
}
