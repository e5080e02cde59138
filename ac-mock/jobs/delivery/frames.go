package delivery

import (
	"time"

	"github.com/g8os/g8os/core/api"
)

// Started takes a node's word that a job has begun.
func (m *Machine) Started(node api.NodeID, f api.Frame, now time.Time) []Effect {
	r := m.run(f.Job, node)
	switch {
	case r == nil || r.exit != nil:
		return nil
	case r.result != nil:
		return r.overtaken(now)
	}
	return m.heard(r, f.Time)
}

// heard notes that a run has begun.
func (m *Machine) heard(r *run, at *time.Time) []Effect {
	if r.started == nil {
		r.started = at
	}
	if r.began {
		return nil
	}
	r.began = true
	if r.result != nil {
		return nil
	}
	return []Effect{{Job: r.job.spec.ID, Node: r.node, Began: &Began{At: at, AC: m.ac}}}
}

// mayBeOvertaken says whether a run ended without anybody having stopped it or
// heard of it.
func (r *run) mayBeOvertaken() bool {
	return r.result.Decided && (r.result.State == api.JobExpired || r.result.State == api.JobLost)
}

// overtaken is what to do about a node that runs what is over: cancelled means
// stopped; of what expired its own word will count.
func (r *run) overtaken(now time.Time) []Effect {
	if r.result.Decided && !r.mayBeOvertaken() {
		return []Effect{r.stop(now)}
	}
	return nil
}

// Output takes a piece of output from a node.
func (m *Machine) Output(node api.NodeID, f api.Frame, now time.Time) []Effect {
	r := m.run(f.Job, node)
	switch {
	case r == nil:
		return m.stranger(node, f)
	case r.result != nil && !r.mayBeOvertaken(): // a straggler: nobody waits for it
		return append(r.overtaken(now), r.ack(f.Seq))
	case r.exit != nil:
		return nil // no job speaks after its end; the exit's acknowledgement covers it
	case f.Seq <= r.out:
		if r.safe == 0 {
			return nil
		}
		return []Effect{r.ack(r.safe)}
	}
	r.out = f.Seq
	return append(m.heard(r, nil), Effect{Job: f.Job, Node: node, Piece: &Piece{f.Seq, f.Stream, f.Data}})
}

// Stored tells that the output of a job from a node is durable up to seq.
func (m *Machine) Stored(id string, node api.NodeID, seq uint64, now time.Time) []Effect {
	r := m.run(id, node)
	if r == nil || seq <= r.safe {
		return nil
	}
	r.safe = seq
	var out []Effect
	if n := m.nodes[node]; n != nil && n.attached {
		out = append(out, r.ack(seq))
	}
	if r.exit != nil {
		out = append(out, m.end(r, now)...)
	}
	return append(out, Effect{Job: id, Changed: true})
}

// Exit takes the end of a job from a node.
func (m *Machine) Exit(node api.NodeID, f api.Frame, now time.Time) []Effect {
	r := m.run(f.Job, node)
	switch {
	case r == nil:
		return m.stranger(node, f)
	case r.exit != nil: // it is being written, or has been
		if r.result == nil || r.ending {
			return nil
		}
		return []Effect{r.ack(f.Seq)}
	case r.result != nil && (!r.result.Decided || f.State == r.result.State):
		return []Effect{r.ack(f.Seq)}
	}
	r.exit = &f
	return m.end(r, now)
}

// end has the result written that a node told, once all output before it is
// durable and no other is being written.
func (m *Machine) end(r *run, now time.Time) []Effect {
	f := r.exit
	switch {
	case r.result != nil && !r.result.Decided:
		return []Effect{r.ack(f.Seq)}
	case r.safe < r.out || r.ending:
		return nil
	}
	r.ending = true
	state, why := outcome(*f)
	again := f.Again
	if state == api.JobLost && !r.began && r.late(now) { // it was asked for
		state, why, again = api.JobExpired, r.timeOver("and the node knows nothing of it"), false
	}
	return []Effect{{Job: r.job.spec.ID, Node: r.node, Over: r.at, Result: &Result{
		State: state, Code: f.Code, Error: why, Started: r.started, Ended: f.Time, Time: now,
		Seq: f.Seq, Dropped: max(0, f.Dropped), Duplicate: again, AC: m.ac,
	}}}
}

// outcome says what an exit means. A node may say which of the ends it was; an
// AC's ends it may not claim, but for those that it alone knows of.
func outcome(f api.Frame) (api.JobState, string) {
	why := api.Shown(f.Error, maxError)
	switch f.State {
	case api.JobSuccess, api.JobError, api.JobTimeout, api.JobKilled, api.JobLost, api.JobCancelled:
		return f.State, why
	}
	if f.Code == 0 && why == "" {
		return api.JobSuccess, ""
	}
	return api.JobError, why
}

// stranger is what to do about a frame of a job that is not the node's: if it
// is another's, nobody waits for it. If it is not known at all, the book may be
// behind.
func (m *Machine) stranger(node api.NodeID, f api.Frame) []Effect {
	if m.jobs[f.Job] != nil {
		ack := api.Frame{Type: api.FrameAck, Job: f.Job, Seq: f.Seq}
		return []Effect{{Job: f.Job, Node: node, Frame: &ack}}
	}
	return []Effect{{Job: f.Job, Node: node, Unknown: f.Seq}}
}
