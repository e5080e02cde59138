package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// maxUntaken bounds what a job may have given us that its operator has not
// taken yet, in bytes. A node that goes beyond it loses its session.
const maxUntaken = 4 << 20

// pieceCost is what a piece of output counts beside its bytes: about what it
// takes in memory, so that empty pieces are not free.
const pieceCost = 256

// Effect is something that Jobs wants done. Exactly one of Frame, Event and
// Cut is set.
type Effect struct {
	Node  api.NodeID
	Job   string
	Frame *api.Frame     // send it on the node's session
	Event *api.ExecEvent // hand it to the job's operator; Seq is its number
	Seq   uint64         // number to give to Taken when the event has been taken
	Cut   string         // cut the node's session, for this reason
}

// Jobs decides what happens to the jobs of all nodes. A job is, in turn,
//
//	running ──session lost──▶ away ──session back──▶ running
//	   │ exit                  │ ResumeWait is over
//	   ▼                       ▼
//	 ended ◀───────────────────┘ ──KeepDone is over──▶ forgotten
//
// It is a step function: no clock, no I/O, not safe for concurrent use.
type Jobs struct {
	timing Timing
	byID   map[string]*job
	byNode map[api.NodeID][]*job // by id
}

type job struct {
	id        string
	node      api.NodeID
	req       api.ExecRequest
	last      uint64 // highest number that was accepted from the node
	taken     uint64 // highest number that the operator has taken
	untaken   int    // bytes between the two
	lost      uint64 // numbers that the node skipped: it had lost them
	left      bool   // the operator is gone: nothing is handed on
	cancelled bool
	away      time.Time // since when its node has no session; zero: it has one
	ended     time.Time // zero: not yet
}

// NewJobs makes a Jobs without any job.
func NewJobs(t Timing) *Jobs {
	return &Jobs{timing: t, byID: map[string]*job{}, byNode: map[api.NodeID][]*job{}}
}

// Start makes a job for a node that has a session.
func (j *Jobs) Start(id string, node api.NodeID, req api.ExecRequest) ([]Effect, error) {
	if _, ok := j.byID[id]; ok {
		return nil, fmt.Errorf("job %s: there is one with this id already", id)
	}
	jb := &job{id: id, node: node, req: req}
	j.keep(jb)
	return []Effect{jb.start()}, nil
}

// Attached tells that a node has a new session. Every job of the node is named
// to it again, with the highest number that we have: a node that knows the job
// goes on from there; one that does not, although the number is above zero,
// has lost it and ends it with an error.
func (j *Jobs) Attached(node api.NodeID) []Effect {
	var out []Effect
	for _, jb := range j.byNode[node] {
		if !jb.ended.IsZero() {
			continue
		}
		jb.away = time.Time{}
		out = append(out, jb.start())
		if jb.cancelled {
			out = append(out, jb.send(api.Frame{Type: api.FrameCancel}))
		}
	}
	return out
}

// Detached tells that a node has no session any more.
func (j *Jobs) Detached(node api.NodeID, now time.Time) {
	for _, jb := range j.byNode[node] {
		if jb.ended.IsZero() && jb.away.IsZero() {
			jb.away = now
		}
	}
}

// Output takes a piece of output from a node.
func (j *Jobs) Output(node api.NodeID, f api.Frame) []Effect {
	jb, out := j.accept(node, f)
	if jb == nil {
		return out
	}
	if jb.left {
		return jb.take(f.Seq, 0)
	}
	cost := len(f.Data) + pieceCost
	jb.untaken += cost
	if jb.untaken > maxUntaken {
		jb.untaken, jb.last = jb.untaken-cost, f.Seq-1
		return []Effect{{Node: node, Job: jb.id, Cut: "more output than the operator takes"}}
	}
	return []Effect{jb.event(f.Seq, api.ExecEvent{Stream: f.Stream, Data: f.Data})}
}

// Exit takes the end of a job from a node.
func (j *Jobs) Exit(node api.NodeID, f api.Frame, now time.Time) []Effect {
	jb, out := j.accept(node, f)
	if jb == nil {
		return out
	}
	jb.ended = now
	if jb.left {
		return jb.take(f.Seq, 0)
	}
	return []Effect{jb.event(f.Seq, api.ExecEvent{Done: true, Code: f.Code, Error: jb.reason(f.Error)})}
}

// Taken tells that the operator has taken a job's event with a number, n bytes
// of output, and all before it: the node may forget them.
func (j *Jobs) Taken(id string, seq uint64, n int) []Effect {
	jb := j.byID[id]
	if jb == nil || seq <= jb.taken {
		return nil
	}
	return jb.take(seq, n+pieceCost)
}

// Leave tells that a job's operator is gone. The job goes on unless cancel is
// set; nobody reads its output any more.
func (j *Jobs) Leave(id string, cancel bool) []Effect {
	jb := j.byID[id]
	if jb == nil || jb.left {
		return nil
	}
	jb.left = true
	out := jb.take(jb.last, jb.untaken)
	if cancel && jb.ended.IsZero() {
		jb.cancelled = true
		out = append(out, jb.send(api.Frame{Type: api.FrameCancel}))
	}
	return out
}

// Tick ends the jobs whose node stayed away for too long, and forgets those
// that ended long ago.
func (j *Jobs) Tick(now time.Time) []Effect {
	var out []Effect
	for _, jb := range j.due(now) {
		if !jb.ended.IsZero() {
			j.forget(jb)
			continue
		}
		jb.ended = now
		if !jb.left {
			out = append(out, jb.event(jb.last, api.ExecEvent{Done: true, Code: -1, Error: fmt.Sprintf(
				"node %s has been away for %v; the job may still run there", jb.node.MAC(), j.timing.ResumeWait)}))
		}
	}
	return out
}

// due lists the jobs that time has ended, or that ended long ago, by id.
func (j *Jobs) due(now time.Time) (due []*job) {
	for _, jb := range j.byID {
		ended, away := !jb.ended.IsZero(), !jb.away.IsZero()
		if ended && now.Sub(jb.ended) >= j.timing.KeepDone || !ended && away && now.Sub(jb.away) >= j.timing.ResumeWait {
			due = append(due, jb)
		}
	}
	slices.SortFunc(due, byID)
	return due
}

func byID(a, b *job) int { return strings.Compare(a.id, b.id) }

func (j *Jobs) keep(jb *job) {
	j.byID[jb.id] = jb
	all := j.byNode[jb.node]
	at, _ := slices.BinarySearchFunc(all, jb, byID)
	j.byNode[jb.node] = slices.Insert(all, at, jb)
}

func (j *Jobs) forget(jb *job) {
	delete(j.byID, jb.id)
	rest := slices.DeleteFunc(j.byNode[jb.node], func(x *job) bool { return x == jb })
	if j.byNode[jb.node] = rest; len(rest) == 0 {
		delete(j.byNode, jb.node)
	}
}

// accept finds the job of a frame and moves its number on. Without a job to
// step, the returned effects are all there is to do: what we have already, or
// do not know any more, is acknowledged so that the node can forget it.
func (j *Jobs) accept(node api.NodeID, f api.Frame) (*job, []Effect) {
	jb := j.byID[f.Job]
	if jb == nil || jb.node != node {
		ack := api.Frame{Type: api.FrameAck, Job: f.Job, Seq: f.Seq}
		return nil, []Effect{{Node: node, Job: f.Job, Frame: &ack}}
	}
	if !jb.ended.IsZero() { // a straggler: nobody waits for it
		return nil, []Effect{jb.ack(max(jb.taken, f.Seq))}
	}
	if f.Seq <= jb.last {
		if jb.taken == 0 {
			return nil, nil
		}
		return nil, []Effect{jb.ack(jb.taken)}
	}
	jb.lost += f.Seq - jb.last - 1
	jb.last = f.Seq
	return jb, nil
}

func (jb *job) take(seq uint64, n int) []Effect {
	jb.untaken = max(0, jb.untaken-n)
	if seq <= jb.taken {
		return nil
	}
	jb.taken = seq
	return []Effect{jb.ack(seq)}
}

func (jb *job) start() Effect {
	return jb.send(api.Frame{Type: api.FrameExec, Seq: jb.last, Exec: &jb.req})
}

func (jb *job) ack(seq uint64) Effect { return jb.send(api.Frame{Type: api.FrameAck, Seq: seq}) }

func (jb *job) send(f api.Frame) Effect {
	f.Job = jb.id
	return Effect{Node: jb.node, Job: jb.id, Frame: &f}
}

func (jb *job) event(seq uint64, e api.ExecEvent) Effect {
	e.Job = jb.id
	return Effect{Node: jb.node, Job: jb.id, Event: &e, Seq: seq}
}

// reason says why a job could not be run or is not whole, if so.
func (jb *job) reason(fromNode string) string {
	if jb.lost == 0 {
		return fromNode
	}
	missing := fmt.Sprintf("%d pieces of output were lost at the node", jb.lost)
	if fromNode == "" {
		return missing
	}
	return fromNode + "; " + missing
}
