package delivery

import (
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Began tells that the store has it that a job began on a node.
func (m *Machine) Began(id string, node api.NodeID, b Began, revision int64) []Effect {
	r := m.run(id, node)
	if r == nil || r.result != nil || r.state == api.JobRunning {
		return nil
	}
	if r.began = true; r.started == nil {
		r.started = b.At
	}
	r.becomes(api.JobRunning, revision)
	return []Effect{{Job: id, Changed: true}}
}

func (r *run) becomes(s api.JobState, revision int64) {
	j := r.job
	if j.counts[r.state]--; j.counts[r.state] == 0 {
		delete(j.counts, r.state)
	}
	r.state = s
	j.counts[s]++
	j.log = insert(j.log, Change{revision, r.node, s}, Change.order)
}

// Done tells that the store has the result of a job on a node, and which
// revision wrote it.
func (m *Machine) Done(id string, node api.NodeID, result Result, revision int64, now time.Time) []Effect {
	r := m.run(id, node)
	if r == nil || revision <= r.at {
		return nil
	}
	j, n, first := r.job, m.nodes[node], r.result == nil
	r.result, r.at, r.ending, r.started = &result, revision, false, result.Started
	r.becomes(result.State, revision)
	out := []Effect{{Job: id, Changed: true}}
	if r.exit != nil && n != nil && n.attached {
		if result.Decided { // an AC was faster with less
			out = append(out, m.end(r, now)...)
		} else {
			out = append(out, r.ack(r.exit.Seq))
		}
	}
	if !first {
		return out
	}
	if j.left--; j.left == 0 {
		j.over = result.Time
		m.open = remove(m.open, j, byMaking)
	}
	m.waiting, m.ended = m.waiting-1, m.ended+1
	next := n.dequeue(r, now)
	out = append(append(out, m.handOut(n, now)...), m.ask(j, now)...)
	if next != nil {
		out = append(out, m.ask(next.job, now)...)
	}
	m.tidy(n)
	return out
}

// Cancelled tells that a job is to be stopped on a node, or everywhere if node
// is empty.
func (m *Machine) Cancelled(id string, node api.NodeID, now time.Time) []Effect {
	j := m.jobs[id]
	if j == nil {
		return nil
	}
	var out []Effect
	for _, r := range j.runs {
		if node != "" && r.node != node || r.result != nil || r.cancel {
			continue
		}
		r.cancel = true
		switch n := m.nodes[r.node]; {
		case r.ending:
		case !n.attached: // Tick sees to it, unless the node is with another AC
		case r.handed:
			out = append(out, r.stop(now))
		default:
			out = append(out, m.decide(r, api.JobCancelled, "", now))
		}
	}
	return append(out, Effect{Job: id, Changed: true})
}

// decide ends a run without the node's word.
func (m *Machine) decide(r *run, s api.JobState, why string, now time.Time) Effect {
	r.ending = true
	return Effect{Job: r.job.spec.ID, Node: r.node, Over: r.at, Result: &Result{
		State: s, Error: why, Started: r.started, Time: now, AC: m.ac, Decided: true,
	}}
}

// Gone tells that a node will not come any more: it is no longer let in.
func (m *Machine) Gone(id api.NodeID, why string, now time.Time) []Effect {
	var out []Effect
	for _, r := range m.unfinished(id) {
		switch {
		case r.ending:
		case r.began:
			out = append(out, m.decide(r, api.JobLost, why+"; it had begun", now))
		default:
			out = append(out, m.decide(r, api.JobRefused, why, now))
		}
	}
	return out
}

// unfinished are the runs of a node that have not ended.
func (m *Machine) unfinished(id api.NodeID) []*run {
	n := m.nodes[id]
	if n == nil {
		return nil
	}
	var all []*run
	for _, j := range m.open {
		if r := j.byNode[id]; r != nil && r.result == nil {
			all = append(all, r)
		}
	}
	return all
}

// Tick ends what time has ended, and gives turns on. elsewhere says whether a node
// has a session with another AC: that one decides then.
func (m *Machine) Tick(now time.Time, elsewhere func(api.NodeID) bool) []Effect {
	var out []Effect
	for _, j := range m.open {
		m.look(j, now, elsewhere)
		for _, r := range j.runs {
			if r.result == nil && !r.ending && (r.late(now) || r.cancel) {
				out = append(out, m.overdue(r, now, elsewhere)...)
			}
		}
		out = append(out, m.ask(j, now)...)
	}
	return out
}

// overdue ends a run that nobody has taken. Whether a node has that was told of
// it, it alone knows: its word is waited for, and asked for.
func (m *Machine) overdue(r *run, now time.Time, elsewhere func(api.NodeID) bool) []Effect {
	silent := r.cancel && r.handed && !r.began && now.Sub(r.since) >= cancelWait
	if r.began || r.exit != nil || r.handed && !silent {
		return nil
	}
	n := m.nodes[r.node]
	switch {
	case !n.attached && elsewhere(r.node):
		return nil
	case r.cancel:
		return []Effect{m.decide(r, api.JobCancelled, "", now)}
	case n.attached && (r.hasTurn() || r.tried && r.ready): // also one whose turn was given on
		return n.hand(r, now)
	case r.tried:
		return nil
	}
	return []Effect{m.decide(r, api.JobExpired, r.timeOver("before the node took it"), now)}
}

// timeOver says why a run expired.
func (r *run) timeOver(how string) string {
	return fmt.Sprintf("its time was over at %s, %s", r.expires().UTC().Format(time.RFC3339), how)
}

// Unwritten tells that a result could not be written because there is another:
// Done tells which, or has.
func (m *Machine) Unwritten(id string, node api.NodeID) {
	if r := m.run(id, node); r != nil {
		r.ending = false
	}
}
