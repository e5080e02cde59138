package delivery

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Machine knows all jobs, and the nodes that have a session here.
type Machine struct {
	ac      string
	jobs    map[string]*job
	all     []*job // in the order of their making
	open    []*job // those that have not ended everywhere, likewise
	nodes   map[api.NodeID]*node
	drained map[api.NodeID]bool // those that begin no command
	waiting int                 // runs that have not ended
	ended   int                 // runs that have, of all jobs
}

// job is a job and what became of it.
type job struct {
	spec     Spec
	revision int64 // that made it
	runs     []*run
	byNode   map[api.NodeID]*run
	left     int // runs that have not ended
	counts   map[api.JobState]int
	over     time.Time // when the last run ended; zero: not yet
	log      []Change

	turns  map[api.NodeID]bool // who has one, with Parallel
	turned int64               // revision that wrote them
	asking bool
}

// run is a job on one node.
type run struct {
	job  *job
	node api.NodeID

	state   api.JobState
	started *time.Time
	result  *Result
	at      int64 // revision of the result

	ready  bool // no job of its queue is before it
	handed bool // the node was told on this session
	tried  bool // or on an earlier one: it may run
	began  bool // the node, or another AC, said so
	out    uint64
	safe   uint64     // output up to here is durable, up to out it was taken
	exit   *api.Frame // the node has said how it ended
	ending bool       // a result is being written
	cancel bool
	since  time.Time // when the node was told to cancel
	away   time.Time // since when it is, before it has begun; zero: it is not
	turned time.Time // when its turn came, after others; zero: nobody was before it
}

// node is one with jobs, or with a session.
type node struct {
	id       api.NodeID
	attached bool
	ready    []*run            // unfinished and nothing before them, in the order of making
	queues   map[string][]*run // that wait for the one before, likewise
	handed   int
}

// New makes a Machine for an AC of a name. It knows no jobs.
func New(ac string) *Machine {
	return &Machine{ac: ac, jobs: map[string]*job{}, nodes: map[api.NodeID]*node{}, drained: map[api.NodeID]bool{}}
}

func (m *Machine) node(id api.NodeID) *node {
	n := m.nodes[id]
	if n == nil {
		n = &node{id: id, queues: map[string][]*run{}}
		m.nodes[id] = n
	}
	return n
}

// tidy forgets a node without jobs and session.
func (m *Machine) tidy(n *node) {
	if !n.attached && len(n.ready) == 0 && len(n.queues) == 0 {
		delete(m.nodes, n.id)
	}
}

func (m *Machine) run(id string, node api.NodeID) *run {
	if j := m.jobs[id]; j != nil {
		return j.byNode[node]
	}
	return nil
}

func (j *job) order(k *job) int {
	return cmp.Or(cmp.Compare(j.revision, k.revision), strings.Compare(j.spec.ID, k.spec.ID))
}

func insert[T any](list []T, x T, order func(a, b T) int) []T {
	at, _ := slices.BinarySearchFunc(list, x, order)
	return slices.Insert(list, at, x)
}

func remove[T any](list []T, x T, order func(a, b T) int) []T {
	if at, ok := slices.BinarySearchFunc(list, x, order); ok {
		return slices.Delete(list, at, at+1)
	}
	return list
}

func byMaking(a, b *job) int  { return a.order(b) }
func byMakingR(a, b *run) int { return a.job.order(b.job) }

// Made tells of a job, and which revision made it. safe says what of its output
// is here already.
func (m *Machine) Made(s Spec, revision int64, safe map[api.NodeID]uint64, now time.Time) []Effect {
	if m.jobs[s.ID] != nil {
		return nil
	}
	j := &job{spec: s, revision: revision, byNode: make(map[api.NodeID]*run, len(s.Nodes)), counts: map[api.JobState]int{}}
	m.jobs[s.ID] = j
	m.all, m.open = insert(m.all, j, byMaking), insert(m.open, j, byMaking)
	for _, id := range slices.Sorted(slices.Values(s.Nodes)) {
		if j.byNode[id] != nil {
			continue
		}
		r := &run{job: j, node: id, state: api.JobQueued, out: safe[id], safe: safe[id]}
		j.runs, j.byNode[id] = append(j.runs, r), r
		j.counts[r.state]++
		j.left++
		m.waiting++
		m.node(id).enqueue(r)
	}
	out := []Effect{{Job: s.ID, Changed: true}}
	for _, r := range j.runs {
		if why, ok := s.Refused[r.node]; ok {
			out = append(out, m.Done(s.ID, r.node, Result{State: api.JobRefused, Error: why, Time: s.Created, Decided: true}, revision, now)...)
		}
	}
	out = append(out, m.ask(j, now)...)
	for _, r := range j.runs {
		out = append(out, m.handOut(m.nodes[r.node], now)...)
	}
	return out
}

// enqueue puts a run where it waits.
func (n *node) enqueue(r *run) {
	q := r.job.spec.Request.Queue
	if q == "" {
		r.ready, n.ready = true, insert(n.ready, r, byMakingR)
		return
	}
	waits, busy := n.queues[q]
	n.queues[q] = insert(waits, r, byMakingR)
	if !busy {
		r.ready, n.ready = true, insert(n.ready, r, byMakingR)
	}
}

// dequeue takes a run out that has ended, and returns the next of its queue if
// that one's time has come.
func (n *node) dequeue(r *run, now time.Time) (next *run) {
	if r.handed {
		r.handed = false
		n.handed--
	}
	if r.ready {
		n.ready = remove(n.ready, r, byMakingR)
	}
	q := r.job.spec.Request.Queue
	if q == "" {
		return nil
	}
	n.queues[q] = remove(n.queues[q], r, byMakingR)
	if len(n.queues[q]) == 0 {
		delete(n.queues, q)
		return nil
	}
	if next = n.queues[q][0]; next.ready {
		return nil
	}
	next.ready, next.turned, n.ready = true, now, insert(n.ready, next, byMakingR)
	return next
}

// Forgotten tells that a job is not in the store any more.
func (m *Machine) Forgotten(id string, now time.Time) []Effect {
	j := m.jobs[id]
	if j == nil {
		return nil
	}
	for _, r := range j.runs {
		if r.result != nil {
			m.ended--
			continue
		}
		m.waiting--
		n := m.nodes[r.node]
		_ = n.dequeue(r, now)
		m.tidy(n)
	}
	delete(m.jobs, id)
	m.all, m.open = remove(m.all, j, byMaking), remove(m.open, j, byMaking)
	return []Effect{{Job: id, Changed: true}}
}
