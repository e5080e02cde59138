package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/record"
)

// line is how often a job says something.
const line = 200 * time.Millisecond

// jobFile is where a job of an id notes on its node's disk that it was begun.
func jobFile(id string) string { return "lab-job-" + id }

// job is one that was run, and what became of it.
type job struct {
	n    *lab.Node
	argv []string

	mu      sync.Mutex
	fact    grid.Job
	began   life // of the node, when the job was asked for
	output  bytes.Buffer
	started int // as the disk said last
}

// Write takes what the operator is told of the output.
func (j *job) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.output.Write(b)
}

// script is a job that notes its beginning on the disk, durably, says numbered
// lines, and ends.
func script(lines int, dir, id string) []string {
	return []string{"sh", "-ec", `
		echo run >>"$0"
		sync
		i=0
		while [ $i -lt "$1" ]; do
			i=$((i+1))
			echo $i
			sleep 0.2
		done`, dir + "/" + jobFile(id), fmt.Sprint(lines)}
}

// Run has the first AC start a job, and returns once it was taken. What the
// operator is told of it is followed beside.
func (g *Grid) Run(ctx context.Context, node, id string, lasts time.Duration) error {
	n, err := g.lab.FindNode(node)
	if err != nil {
		return err
	}
	if id == "" || strings.ContainsAny(id, "/ ") {
		return fmt.Errorf("job %q: want an id without spaces and slashes", id)
	}
	if lasts <= 0 {
		return fmt.Errorf("job %s: lasts %s: want a time above 0", id, lasts)
	}
	lines := max(1, int(lasts/line))
	j := &job{n: n, argv: script(lines, "/etc/g8os", id), fact: grid.Job{ID: id, Node: node, Accepted: g.Elapsed(), Expected: lines}}
	if g.knows(id) {
		return nil // idempotent, as the id makes it
	}
	taken := make(chan error, 1)
	g.jobsMu.Lock()
	g.jobs = append(g.jobs, j)
	g.jobsMu.Unlock()
	g.follow.Go(func() { g.followJob(j, taken) })
	select {
	case err = <-taken:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		g.forget(j)
		return fmt.Errorf("job %s on %s: %w", id, node, err)
	}
	g.note(j.fact.Accepted, node, "job", "%s begins, for %s", id, lasts)
	return nil
}

func (g *Grid) knows(id string) bool {
	g.jobsMu.Lock()
	defer g.jobsMu.Unlock()
	return slices.ContainsFunc(g.jobs, func(j *job) bool { return j.fact.ID == id })
}

func (g *Grid) forget(j *job) {
	g.jobsMu.Lock()
	defer g.jobsMu.Unlock()
	g.jobs = slices.DeleteFunc(g.jobs, func(k *job) bool { return k == j })
}

// life is one life of g8os_core on a node: a job belongs to one.
type life struct {
	init record.Process
	boot string // of the kernel, in a machine
	core int
}

// lifeOf tells which life a node is in; ok is false when it does not say.
func (g *Grid) lifeOf(ctx context.Context, n *lab.Node) (l life, ok bool) {
	init, err := g.lab.Init(n.Name())
	if err != nil {
		return life{}, true // none
	}
	l.init = init
	if isVM(n.Plan()) {
		l.boot, err = g.inside(ctx, n, "cat", "/proc/sys/kernel/random/boot_id")
	}
	if err != nil {
		return l, false
	}
	st, err := n.Core(ctx)
	l.core = st.PID
	return l, err == nil && (st.Running || !isVM(n.Plan()))
}

// followJob hears of a job until it has ended, as an operator would: when the
// AC goes away it asks again once the AC is back, unless the node has begun
// another life since, in which it would begin the job again.
func (g *Grid) followJob(j *job, taken chan<- error) {
	ac := g.lab.ACs()[0]
	j.begins(g.lifeOf(g.ctx, j.n))
	told := false
	tell := func(err error) {
		if !told {
			told = true
			taken <- err
		}
	}
	for {
		j.again()
		code, err := ac.FollowJob(g.ctx, j.n, j.fact.ID, j, func() { tell(nil) }, j.argv...)
		switch {
		case err == nil || errors.Is(err, client.ErrJob):
			j.looked(g.lifeOf(g.ctx, j.n))
			j.ended(code != 0 || err != nil && !j.whole())
			return
		case g.ctx.Err() != nil || !told:
			tell(errors.Join(err, g.ctx.Err()))
			return
		}
		for ok := false; !ok; {
			if !wait(g.ctx, line) {
				return
			}
			var now life
			now, ok = g.lifeOf(g.ctx, j.n)
			if j.looked(now, ok) {
				j.ended(true)
				return
			}
		}
	}
}

// begins notes the life of its node that a job belongs to.
func (j *job) begins(l life, _ bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.began = l
}

// looked notes, and tells, whether the life that a job belongs to is over. A
// node that does not say which it is in may be in the same.
func (j *job) looked(now life, ok bool) (interrupted bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.fact.Told && ok && now != j.began {
		j.fact.Interrupted = true
	}
	return j.fact.Interrupted
}

// again forgets what was heard: an AC that is asked tells all of a job.
func (j *job) again() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.output.Reset()
}

// whole tells whether all output has come.
func (j *job) whole() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Count(j.output.Bytes(), []byte("\n")) == j.fact.Expected
}

func (j *job) ended(lost bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fact.Told, j.fact.Lost = true, lost
}

// jobFacts says of all jobs what the operator was told and what the disk says.
func (g *Grid) jobFacts(ctx context.Context) []grid.Job {
	g.jobsMu.Lock()
	jobs := slices.Clone(g.jobs)
	g.jobsMu.Unlock()
	var all []grid.Job
	for _, j := range jobs {
		started, err := g.startedOn(ctx, j)
		j.looked(g.lifeOf(ctx, j.n))
		j.mu.Lock()
		if err == nil {
			j.started = started
		}
		j.fact.Started, j.fact.Output = j.started, bytes.Count(j.output.Bytes(), []byte("\n"))
		all = append(all, j.fact)
		j.mu.Unlock()
	}
	return all
}

// startedOn counts on a node's disk how often a job was begun. A machine that
// does not answer says nothing.
func (g *Grid) startedOn(ctx context.Context, j *job) (int, error) {
	var text string
	if isVM(j.n.Plan()) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		r, err := j.n.Exec(ctx, "cat", "/etc/g8os/"+jobFile(j.fact.ID))
		if err != nil {
			return 0, err
		}
		text = r.Stdout
	} else {
		b, err := os.ReadFile(filepath.Join(j.n.Disk(), jobFile(j.fact.ID)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		text = string(b)
	}
	return strings.Count(text, "run\n"), nil
}
