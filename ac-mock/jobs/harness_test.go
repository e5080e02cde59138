package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// disk is the output on an AC's disk: it outlives its Queue.
type disk struct {
	mu   sync.Mutex
	jobs map[string][]output.Piece
}

func newDisk() *disk { return &disk{jobs: map[string][]output.Piece{}} }

func (d *disk) Append(pieces []output.Piece) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range pieces {
		d.jobs[p.Job] = append(d.jobs[p.Job], p)
	}
	return nil
}

func (d *disk) Last(job string) (map[api.NodeID]uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := map[api.NodeID]uint64{}
	for _, p := range d.jobs[job] {
		last[p.Node] = max(last[p.Node], p.Seq)
	}
	return last, nil
}

func (d *disk) Read(job string, from int64, take func(output.Piece, int64) error) (next, dropped int64, err error) {
	d.mu.Lock()
	pieces := slices.Clone(d.jobs[job])
	d.mu.Unlock()
	for ; from < int64(len(pieces)); from++ {
		if err := take(pieces[from], from+1); err != nil {
			return from, 0, err
		}
	}
	return from, 0, nil
}

func (d *disk) Remove(job string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.jobs, job)
	return nil
}

func (d *disk) Jobs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.jobs))
}

// grid is some ACs on one store, and nodes, all of which do one thing after the
// other, as it is said.
type grid struct {
	testing.TB
	store *memory.Store
	now   time.Time
	acs   []*ac
	nodes []*node
	names int
}

type ac struct {
	g     *grid
	name  string
	store store.Store
	disk  *disk
	q     *Queue // nil: it does not run
}

func newGrid(t testing.TB, acs, nodes int) *grid {
	g := &grid{TB: t, store: memory.New(memory.Options{History: 1 << 20}), now: t0}
	for i := range acs {
		a := &ac{g: g, name: fmt.Sprintf("ac%d", i+1), store: g.store.Client(), disk: newDisk()}
		g.acs = append(g.acs, a)
		a.start()
	}
	for i := range nodes {
		g.nodes = append(g.nodes, &node{id: api.NodeID(fmt.Sprintf("020000%06x", i+1)), jobs: map[string]*nodeJob{}})
	}
	return g
}

func (a *ac) options() Options {
	return Options{
		Store: a.store, Output: a.disk, AC: a.name, Noted: func() {}, Name: func(id api.NodeID) string { return string(id) },
		Clock: func() time.Time { return a.g.now },
		Entry: func(_, _ string, _ api.NodeID, detail string) (store.Op, error) {
			a.g.names++
			return store.Put(fmt.Sprintf("audit/%09d", a.g.names), []byte(detail)), nil
		},
		Elsewhere: func(id api.NodeID) bool {
			return slices.ContainsFunc(a.g.nodes, func(n *node) bool { return n.id == id && n.at != nil && n.at != a })
		},
	}
}

func (a *ac) start() {
	if a.q != nil {
		return
	}
	q, err := New(context.Background(), a.options())
	if err != nil {
		if !errors.Is(err, errCrashed) {
			a.g.Fatal(err)
		}
		return
	}
	a.q = q
}

// kill ends an AC as SIGKILL does.
func (a *ac) kill() {
	a.q = nil
	for _, n := range a.g.nodes {
		if n.at == a {
			n.at, n.inbox = nil, nil
		}
	}
}

// turn has an AC hear its news and write what it has to.
func (a *ac) turn() {
	if a.q == nil {
		return
	}
	if err := a.q.Take(a.g.store.Since(Prefix, a.q.Revision()+1)); err != nil {
		a.g.Fatal(err)
	}
	a.q.Settle(context.Background())
}

func order(id string, r api.JobRequest, nodes ...*node) Order {
	o := Order{Request: r, By: "operator"}
	o.Request.ID = id
	if len(r.Exec.Argv) == 0 {
		o.Request.Exec.Argv = []string{"true"}
	}
	for _, n := range nodes {
		o.Nodes = append(o.Nodes, api.Node{ID: n.id})
	}
	return o
}

// node is a node as the contract has it: what it begins and says is on its disk.
type node struct {
	id    api.NodeID
	at    *ac
	inbox []api.Frame
	cut   bool
	jobs  map[string]*nodeJob
	order []string
	most  int // jobs that ran at a time
}

type nodeJob struct {
	started int
	says    []api.Frame // not acknowledged
	seq     uint64
	ended   bool
}

// Send and Cut make a node a Session of its own.
func (n *node) Send(f api.Frame) { n.inbox = append(n.inbox, f) }
func (n *node) Cut(string)       { n.cut = true }

// attach begins a session, with an AC that runs.
func (n *node) attach(a *ac) {
	n.leave()
	if a.q == nil {
		return
	}
	n.at, n.inbox, n.cut = a, nil, false
	a.q.Attached(n.id, n)
	for _, id := range n.order {
		for _, f := range n.jobs[id].says {
			a.q.Received(n.id, f)
		}
	}
}

func (n *node) leave() {
	if n.at != nil {
		n.at.q.Detached(n.id)
	}
	n.at, n.inbox = nil, nil
}

// turn has a node take what it was told, and run its jobs to the end if it is
// so far: each says three pieces.
func (n *node) turn(end func(job string) bool) {
	inbox := n.inbox
	n.inbox = nil
	for _, f := range inbox {
		n.take(f)
	}
	running := 0
	for _, id := range n.order {
		j := n.jobs[id]
		if j.ended {
			continue
		}
		if running++; running > n.most {
			n.most = running
		}
		if end(id) {
			for range 3 {
				n.say(id, api.Frame{Type: api.FrameOutput, Stream: "stdout", Data: []byte(id)})
			}
			n.exit(id, api.Frame{State: api.JobSuccess})
		}
	}
	if n.cut {
		n.leave()
	}
}

func (n *node) take(f api.Frame) {
	j := n.jobs[f.Job]
	switch {
	case f.Type == api.FrameAck && j != nil:
		j.says = slices.DeleteFunc(j.says, func(x api.Frame) bool {
			return x.Seq > 0 && x.Seq <= f.Seq || x.Seq == 0 && j.ended && len(j.says) == 1
		})
	case f.Type == api.FrameExec && j == nil:
		n.jobs[f.Job], n.order = &nodeJob{seq: f.Seq}, append(n.order, f.Job)
		if f.Seq > 0 || f.State == api.JobRunning {
			n.exit(f.Job, api.Frame{State: api.JobLost, Error: "lost"})
			return
		}
		n.jobs[f.Job].started++
		n.say(f.Job, api.Frame{Type: api.FrameStarted})
	case f.Type == api.FrameCancel && j == nil:
		n.jobs[f.Job], n.order = &nodeJob{}, append(n.order, f.Job)
		n.exit(f.Job, api.Frame{State: api.JobCancelled})
	case f.Type == api.FrameCancel && !j.ended:
		n.exit(f.Job, api.Frame{State: api.JobKilled, Code: 143})
	}
}

func (n *node) exit(id string, f api.Frame) {
	f.Type = api.FrameExit
	n.jobs[id].ended = true
	n.say(id, f)
}

func (n *node) say(id string, f api.Frame) {
	j := n.jobs[id]
	f.Job = id
	if f.Type != api.FrameStarted {
		j.seq++
		f.Seq = j.seq
	}
	j.says = append(j.says, f)
	if n.at != nil {
		n.at.q.Received(n.id, f)
	}
}

func always(string) bool { return true }
func never(string) bool  { return false }

// settle has all go on until nothing changes any more.
func (g *grid) settle(end func(string) bool) {
	for range 60 {
		for _, a := range g.acs {
			a.turn()
		}
		for _, n := range g.nodes {
			n.turn(end)
		}
		g.now = g.now.Add(50 * time.Millisecond)
	}
}

// run is a job on a node as an AC knows it.
func (a *ac) run(job string, n *node) api.JobRun {
	a.g.Helper()
	j, err := a.q.Job(job)
	if err != nil {
		a.g.Fatal(err)
	}
	for _, r := range j.Runs {
		if r.Node == n.id {
			return r
		}
	}
	a.g.Fatalf("job %s is not for %s", job, n.id)
	return api.JobRun{}
}

// pieces are the numbers of a node's output of a job that ACs have.
func (g *grid) pieces(job string, n *node) []uint64 {
	all := map[uint64]bool{}
	for _, a := range g.acs {
		for _, p := range a.disk.jobs[job] {
			if p.Node == n.id {
				all[p.Seq] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// mustMake makes a job at an AC.
func (a *ac) mustMake(o Order) {
	a.g.Helper()
	if _, err := a.q.Make(context.Background(), o); err != nil {
		a.g.Fatal(err)
	}
}

// whole checks that a job ran once on a node, succeeded, and that nothing that it
// said is lost.
func (g *grid) whole(a *ac, job string, n *node) {
	g.Helper()
	if r := a.run(job, n); r.State != api.JobSuccess {
		g.Errorf("job %s on %s: %+v, want success", job, n.id, r)
	}
	if j := n.jobs[job]; j == nil || j.started != 1 {
		g.Errorf("job %s on %s was started otherwise than once: %+v", job, n.id, j)
	}
	if got := g.pieces(job, n); !slices.Equal(got, []uint64{1, 2, 3}) {
		g.Errorf("job %s on %s: pieces %v are there, want 1 to 3", job, n.id, got)
	}
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }
