package jobs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Attached tells that a node has a session here now, in place of any before.
func (q *Queue) Attached(id api.NodeID, s Session) {
	q.step(func(m *delivery.Machine, now time.Time) []delivery.Effect {
		if q.sessions[id] != nil {
			m.Detached(id)
		}
		q.sessions[id] = s
		return append(m.Drained(id, q.o.Drained(id), now), m.Attached(id, now)...)
	})
}

// Drain looks which nodes take commands, and hands out what waited for those that
// do again.
func (q *Queue) Drain() {
	q.step(func(m *delivery.Machine, now time.Time) (out []delivery.Effect) {
		for _, id := range slices.Sorted(maps.Keys(q.sessions)) {
			out = append(out, m.Drained(id, q.o.Drained(id), now)...)
		}
		return out
	})
}

// Detached tells that a node has no session here any more.
func (q *Queue) Detached(id api.NodeID) {
	q.step(func(m *delivery.Machine, _ time.Time) []delivery.Effect {
		delete(q.sessions, id)
		for k := range q.strange {
			if k.node == id {
				delete(q.strange, k)
			}
		}
		m.Detached(id)
		return nil
	})
}

// Received takes a frame of a node about a job. It does not block; Absorb does.
func (q *Queue) Received(id api.NodeID, f api.Frame) {
	q.step(func(m *delivery.Machine, now time.Time) []delivery.Effect {
		switch f.Type {
		case api.FrameStarted:
			return m.Started(id, f, now)
		case api.FrameOutput:
			return m.Output(id, f, now)
		case api.FrameExit:
			return m.Exit(id, f, now)
		}
		return nil
	})
}

// Gone tells that a node is no longer let in.
func (q *Queue) Gone(id api.NodeID, why string) {
	q.step(func(m *delivery.Machine, now time.Time) []delivery.Effect { return m.Gone(id, why, now) })
}

// Busy lists the nodes that have unfinished jobs.
func (q *Queue) Busy() []api.NodeID {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.m.Busy()
}

// keep queues a piece of output; q.mu is held.
func (q *Queue) keep(e delivery.Effect) {
	p := output.Piece{Job: e.Job, Node: e.Node, Seq: e.Piece.Seq, Stream: e.Piece.Stream, Data: e.Piece.Data, Time: q.o.Clock()}
	q.said = append(q.said, p)
	q.untaken[e.Node] += cost(p)
	signal(q.pieces)
}

// cost is what a piece takes in memory, about.
func cost(p output.Piece) int { return len(p.Data) + 256 }

// Absorb waits while more of a node's output waits to be durable than it may:
// who reads its session calls it after each frame.
func (q *Queue) Absorb(ctx context.Context, id api.NodeID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.untaken[id] < q.o.Bounds.Untaken || q.inline {
		return
	}
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.taken.Broadcast()
	})()
	for q.untaken[id] >= q.o.Bounds.Untaken && ctx.Err() == nil {
		q.taken.Wait()
	}
}

// appends makes output durable until ctx ends.
func (q *Queue) appends(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.pieces:
		}
		for !q.append() {
			if pause(ctx, retryAfter); ctx.Err() != nil {
				return
			}
		}
	}
}

// append makes what waits durable, all at once, and says whether it could.
func (q *Queue) append() bool {
	q.mu.Lock()
	said, drop := q.said, q.drop
	q.said, q.drop = nil, nil
	q.mu.Unlock()
	for _, id := range drop {
		if err := q.o.Output.Remove(id); err != nil {
			q.o.Log.Warn("cannot remove the output of a job that is forgotten", "job", id, "err", err)
		}
	}
	if len(said) == 0 {
		return true
	}
	if err := q.o.Output.Append(said); err != nil {
		q.o.Log.Error("output of jobs cannot be kept: nodes wait with it", "pieces", len(said), "err", err)
		q.mu.Lock()
		q.said = append(said, q.said...)
		q.mu.Unlock()
		return false
	}
	last := map[runKey]uint64{}
	var order []runKey
	q.mu.Lock()
	for _, p := range said {
		k := runKey{p.Job, p.Node}
		if last[k] == 0 {
			order = append(order, k)
		}
		last[k] = max(last[k], p.Seq)
		if q.untaken[p.Node] -= cost(p); q.untaken[p.Node] <= 0 {
			delete(q.untaken, p.Node)
		}
	}
	q.taken.Broadcast()
	now := q.o.Clock()
	for _, k := range order {
		q.perform(q.m.Stored(k.job, k.node, last[k], now))
	}
	q.mu.Unlock()
	return true
}

// maxStrange bounds the jobs that nobody knows and that are looked up at a time.
const maxStrange = 64

// wonder looks whether there is a job of which a node speaks and which is not
// known here; q.mu is held. If there is none, the node may forget it. If there
// is, the news of it are late, and the node is to say it again.
func (q *Queue) wonder(k runKey, seq uint64) {
	if _, asked := q.strange[k]; !asked && len(q.strange) >= maxStrange {
		return
	}
	q.strange[k] = max(q.strange[k], seq)
	signal(q.wonders)
}

func (q *Queue) lookUps(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.wonders:
			q.lookUp(ctx)
		}
	}
}

// lookUp looks for what is not known, one after the other, in the order of their
// names.
func (q *Queue) lookUp(ctx context.Context) {
	q.mu.Lock()
	keys := slices.SortedFunc(maps.Keys(q.strange), func(a, b runKey) int {
		return cmp.Or(strings.Compare(a.job, b.job), strings.Compare(string(a.node), string(b.node)))
	})
	q.mu.Unlock()
	for _, k := range keys {
		bound, cancel := q.within(ctx)
		_, err := q.o.Store.Get(bound, keySpec+k.job)
		cancel()
		q.known(k, err)
	}
}

// known tells a node what was found about a job of which it spoke.
func (q *Queue) known(k runKey, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	seq, still := q.strange[k]
	delete(q.strange, k)
	s := q.sessions[k.node]
	switch {
	case s == nil || !still:
	case errors.Is(err, store.ErrNotFound):
		s.Send(api.Frame{Type: api.FrameAck, Job: k.job, Seq: seq})
	default:
		s.Cut("it speaks of a job that is not known here yet")
	}
}
