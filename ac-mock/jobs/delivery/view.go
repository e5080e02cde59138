package delivery

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Spec is a job as it was made; false when it is not known.
func (m *Machine) Spec(id string) (Spec, bool) {
	if j := m.jobs[id]; j != nil {
		return j.spec, true
	}
	return Spec{}, false
}

// Waiting says how many runs have not ended, of all jobs.
func (m *Machine) Waiting() int { return m.waiting }

// Idle says whether nothing is to be done for a node: no job of it is open.
func (m *Machine) Idle(id api.NodeID) bool {
	n := m.nodes[id]
	return n == nil || len(n.ready) == 0 && len(n.queues) == 0
}

// Busy lists the nodes that have unfinished jobs, by id.
func (m *Machine) Busy() []api.NodeID {
	var ids []api.NodeID
	for id := range m.nodes {
		if !m.Idle(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Job shows a job, with its runs if they are wanted. name is that of a node.
func (m *Machine) Job(id string, runs bool, name func(api.NodeID) string) (api.Job, bool) {
	j := m.jobs[id]
	if j == nil {
		return api.Job{}, false
	}
	return j.show(runs, name), true
}

func (j *job) show(runs bool, name func(api.NodeID) string) api.Job {
	s := j.spec
	v := api.Job{
		ID: s.ID, By: s.By, Created: s.Created, Expires: s.Expires, To: s.Request.To, Command: Command(s.Request.Exec),
		Queue: s.Request.Queue, RetryOf: s.RetryOf, Nodes: len(j.runs), Counts: make(map[api.JobState]int, len(j.counts)),
	}
	for state, n := range j.counts {
		v.Counts[state] = n
	}
	if !j.over.IsZero() {
		over := j.over
		v.Ended = &over
	}
	if !runs {
		return v
	}
	for _, r := range j.runs {
		v.Runs = append(v.Runs, r.show(name(r.node)))
	}
	return v
}

func (r *run) show(name string) api.JobRun {
	v := api.JobRun{Node: r.node, Name: name, State: r.state, Started: r.started}
	if r.state == api.JobQueued && r.began { // the store hears of it in a moment
		v.State = api.JobRunning
	}
	if e := r.result; e != nil {
		v.Code, v.Error, v.Ended, v.Dropped, v.Duplicate = e.Code, e.Error, e.Ended, e.Dropped, e.Duplicate
	}
	return v
}

// Command names what a job runs. Arguments may be secret, and are not in it.
func Command(e api.ExecRequest) string {
	switch {
	case e.Builtin != "":
		return string(e.Builtin)
	case len(e.Script) > 0:
		return "script"
	case len(e.Argv) > 0:
		return path.Base(e.Argv[0])
	}
	return ""
}

// Query narrows a list of jobs. Empty fields do not.
type Query struct {
	State api.JobState
	Node  api.NodeID
	Limit int
}

// List shows jobs without their runs, the newest first.
func (m *Machine) List(q Query) []api.Job {
	list := []api.Job{}
	for _, j := range slices.Backward(m.all) {
		switch {
		case q.Limit > 0 && len(list) == q.Limit:
			return list
		case q.Node != "" && j.byNode[q.Node] == nil:
		case q.State != "" && q.Node != "" && j.byNode[q.Node].state != q.State:
		case q.State != "" && j.counts[q.State] == 0:
		default:
			list = append(list, j.show(false, nil))
		}
	}
	return list
}

// Failed lists the nodes on which a job has ended without success, by id; false
// when it is not over or not known.
func (m *Machine) Failed(id string) (nodes []api.NodeID, over bool) {
	j := m.jobs[id]
	if j == nil || j.left > 0 {
		return nil, false
	}
	for _, r := range j.runs {
		if r.state != api.JobSuccess {
			nodes = append(nodes, r.node)
		}
	}
	return nodes, true
}

// Changes lists the changes of a job's states after one, at most so many, and
// says whether the job is over; false when it is not known.
func (m *Machine) Changes(id string, after Change, most int) (list []Change, over, ok bool) {
	j := m.jobs[id]
	if j == nil {
		return nil, false, false
	}
	at, found := slices.BinarySearchFunc(j.log, after, Change.order)
	if found {
		at++
	}
	return slices.Clone(j.log[at:min(at+most, len(j.log))]), j.left == 0, true
}

// Result is how a job has ended on a node; nil when it has not.
func (m *Machine) Result(id string, node api.NodeID) *Result {
	if r := m.run(id, node); r != nil {
		return r.result
	}
	return nil
}

// Abroad says whether a job has unfinished runs on nodes without a session here:
// what they say goes to other ACs.
func (m *Machine) Abroad(id string) bool {
	j := m.jobs[id]
	if j == nil || j.left == 0 {
		return false
	}
	return slices.ContainsFunc(j.runs, func(r *run) bool { return r.result == nil && !m.nodes[r.node].attached })
}

// Old lists the jobs that may be forgotten, the oldest first, at most so many:
// those that ended before a time, and those beyond a number of jobs or results.
func (m *Machine) Old(before time.Time, jobs, results, most int) []string {
	var ids []string
	count, ended := len(m.all), m.ended
	for _, j := range m.all {
		if len(ids) == most {
			break
		}
		if j.left > 0 || !j.over.Before(before) && count <= jobs && ended <= results {
			continue
		}
		ids = append(ids, j.spec.ID)
		count, ended = count-1, ended-len(j.runs)
	}
	return ids
}

// Nodes lists the nodes of a job, by id.
func (m *Machine) Nodes(id string) []api.NodeID {
	j := m.jobs[id]
	if j == nil {
		return nil
	}
	ids := make([]api.NodeID, len(j.runs))
	for i, r := range j.runs {
		ids[i] = r.node
	}
	return ids
}

// Jobs lists the ids of all jobs, in order.
func (m *Machine) Jobs() []string {
	ids := make([]string, len(m.all))
	for i, j := range m.all {
		ids[i] = j.spec.ID
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}
