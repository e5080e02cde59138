package delivery

import (
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Attached tells that a node has a new session: whatever of it has not ended is
// named to it again.
func (m *Machine) Attached(id api.NodeID, now time.Time) []Effect {
	n := m.node(id)
	n.attached, n.handed = true, 0
	var out []Effect
	for _, r := range n.ready {
		r.away = time.Time{}
		if r.handed = false; r.began {
			out = append(out, n.hand(r, now)...)
		}
	}
	for _, r := range slices.Clone(n.ready) {
		if r.job.spec.Request.Parallel > 0 {
			out = append(out, m.ask(r.job, now)...)
		}
	}
	return append(out, m.handOut(n, now)...)
}

// Detached tells that a node has no session here any more.
func (m *Machine) Detached(id api.NodeID) {
	n := m.nodes[id]
	if n == nil {
		return
	}
	n.attached, n.handed = false, 0
	for _, r := range n.ready {
		r.handed = false
	}
	m.tidy(n)
}

// handOut gives a node what it may have now.
func (m *Machine) handOut(n *node, now time.Time) (out []Effect) {
	if n == nil || !n.attached {
		return nil
	}
	for _, r := range n.ready {
		if n.handed >= MaxHanded {
			break
		}
		if !r.handed && m.mayBegin(r, now) && r.hasTurn() {
			out = append(out, n.hand(r, now)...)
		}
	}
	return out
}

// hasTurn says whether it is the run's turn, of those of its queue and its job.
func (r *run) hasTurn() bool {
	return r.ready && (r.job.spec.Request.Parallel == 0 || r.job.turns[r.node])
}

// mayBegin says whether nothing has decided against a run. One that was handed
// out before its node was drained may have begun, and is named to it again.
func (m *Machine) mayBegin(r *run, now time.Time) bool {
	kept := m.drained[r.node] && !r.tried && r.job.spec.Request.Exec.Builtin == ""
	return r.began || !r.cancel && !r.ending && !r.late(now) && !kept
}

// Drained tells that a node begins no command from now on, or that it does again.
// What has begun goes on, and so does what g8os_core does itself.
func (m *Machine) Drained(id api.NodeID, drained bool, now time.Time) (out []Effect) {
	if m.drained[id] == drained {
		return nil
	}
	if drained {
		m.drained[id] = true
		return nil
	}
	delete(m.drained, id)
	n := m.nodes[id]
	if n == nil {
		return nil
	}
	for _, r := range slices.Clone(n.ready) {
		out = append(out, m.ask(r.job, now)...)
	}
	return append(out, m.handOut(n, now)...)
}

// late says whether a run's time to begin is over. In a job without a time to
// live it stands still for a node that waits for others and is there.
func (r *run) late(now time.Time) bool {
	waits := r.job.spec.Request.TTLMS == 0 && !r.hasTurn()
	return !now.Before(r.expires()) && (!waits || r.isAway(now))
}

// expires is when a run's time to begin is over; without a time to live it begins
// when the run has its turn.
func (r *run) expires() time.Time {
	over := r.job.spec.Expires
	if r.job.spec.Request.TTLMS > 0 || !r.hasTurn() || r.turned.IsZero() {
		return over
	}
	if from := r.turned.Add(turnWait); from.After(over) {
		return from
	}
	return over
}

// hand names a run to its node. One that may not begin any more is asked for: the
// node tells how it stands, or that it knows nothing of it.
func (n *node) hand(r *run, now time.Time) []Effect {
	r.handed, r.tried = true, true
	n.handed++
	f := api.Frame{Type: api.FrameExec, Seq: r.safe, Exec: &r.job.spec.Request.Exec}
	if r.began || r.late(now) {
		f.State = api.JobRunning
	}
	out := []Effect{r.send(f)}
	if r.cancel {
		out = append(out, r.stop(now))
	}
	return out
}

// stop tells a node to stop a run.
func (r *run) stop(now time.Time) Effect {
	r.since = now
	return r.send(api.Frame{Type: api.FrameCancel})
}

func (r *run) send(f api.Frame) Effect {
	f.Job = r.job.spec.ID
	return Effect{Job: f.Job, Node: r.node, Frame: &f}
}

func (r *run) ack(seq uint64) Effect { return r.send(api.Frame{Type: api.FrameAck, Seq: seq}) }

// ask wants a turn for nodes of a job with Parallel that could begin now and
// have none.
func (m *Machine) ask(j *job, now time.Time) []Effect {
	if j.spec.Request.Parallel == 0 || j.asking {
		return nil
	}
	var turns []api.NodeID
	for _, r := range j.runs {
		if r.result == nil && (r.began || j.turns[r.node] && !r.givenOn(now)) {
			turns = append(turns, r.node)
		}
	}
	had := len(turns)
	for _, r := range j.runs {
		if len(turns) >= j.spec.Request.Parallel {
			break
		}
		if n := m.nodes[r.node]; r.result == nil && !j.turns[r.node] && !r.began && r.ready && n.attached && m.mayBegin(r, now) {
			turns = append(turns, r.node)
		}
	}
	if len(turns) == had {
		return nil
	}
	j.asking = true
	return []Effect{{Job: j.spec.ID, Turns: turns, Over: j.turned}}
}

// turnWait is how long a turn is kept for a node that went away and has not begun:
// it may have, and says so if it is back by then.
const turnWait = 30 * time.Second

// givenOn says whether the turn of a run is another's as soon as one can begin.
func (r *run) givenOn(now time.Time) bool {
	return r.isAway(now) && !r.began && !r.ending && r.exit == nil
}

// isAway says whether a node has been away for long.
func (r *run) isAway(now time.Time) bool { return !r.away.IsZero() && now.Sub(r.away) >= turnWait }

// look notes since when those are away that have a turn, or wait for one.
func (m *Machine) look(j *job, now time.Time, elsewhere func(api.NodeID) bool) {
	for _, r := range j.runs {
		if r.result != nil || r.began {
			continue
		}
		if m.nodes[r.node].attached || elsewhere(r.node) {
			r.away = time.Time{}
		} else if r.away.IsZero() {
			r.away = now
		}
	}
}

// Turns tells which nodes of a job have a turn, and which revision said so.
func (m *Machine) Turns(id string, nodes []api.NodeID, revision int64, now time.Time) []Effect {
	j := m.jobs[id]
	if j == nil || revision <= j.turned {
		return nil
	}
	before := j.turns
	j.turned, j.asking, j.turns = revision, false, map[api.NodeID]bool{}
	for _, id := range nodes {
		j.turns[id] = true
		if r := j.byNode[id]; r != nil && !before[id] {
			r.away, r.turned = time.Time{}, now // whoever gave it saw the node
		}
	}
	var out []Effect
	for _, id := range nodes {
		if r := j.byNode[id]; r != nil && r.result == nil {
			out = append(out, m.handOut(m.nodes[id], now)...)
		}
	}
	return append(out, m.ask(j, now)...)
}

// TurnsLost tells that turns could not be written: another AC was faster, or the
// store is away. They are asked for again with the next Turns, or Tick.
func (m *Machine) TurnsLost(id string) {
	if j := m.jobs[id]; j != nil {
		j.asking = false
	}
}
