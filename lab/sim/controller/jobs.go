package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/core/api"
)

// said is the output of jobs on an AC's disk: it outlives g8os_ac.
type said struct{ jobs map[string][]output.Piece }

func newSaid() *said { return &said{jobs: map[string][]output.Piece{}} }

// Append implements jobs.Output.
func (s *said) Append(pieces []output.Piece) error {
	for _, p := range pieces {
		s.jobs[p.Job] = append(s.jobs[p.Job], p)
	}
	return nil
}

// Last implements jobs.Output.
func (s *said) Last(job string) (map[api.NodeID]uint64, error) {
	last := map[api.NodeID]uint64{}
	for _, p := range s.jobs[job] {
		last[p.Node] = max(last[p.Node], p.Seq)
	}
	return last, nil
}

// Read implements jobs.Output; a position is a number of pieces.
func (s *said) Read(job string, from int64, take func(output.Piece, int64) error) (next, dropped int64, err error) {
	for ; from < int64(len(s.jobs[job])); from++ {
		if err := take(s.jobs[job][from], from+1); err != nil {
			return from, 0, err
		}
	}
	return from, 0, nil
}

// Remove implements jobs.Output.
func (s *said) Remove(job string) error {
	delete(s.jobs, job)
	return nil
}

// Jobs implements jobs.Output.
func (s *said) Jobs() []string { return slices.Sorted(maps.Keys(s.jobs)) }

// queue opens the queue of jobs.
func (r *run) queue(ctx context.Context) (*jobs.Queue, error) {
	return jobs.New(ctx, jobs.Options{
		Store: r.store, Output: r.said, AC: r.o.Name, Entry: r.registry.Entry, Noted: r.registry.Noted, Clock: r.Now, Log: r.o.Log,
		Name:      func(id api.NodeID) string { return string(id) },
		Elsewhere: func(id api.NodeID) bool { return r.o.Elsewhere(r.Controller, id) },
	})
}

// writeAfter is what it takes until output is on disk and a result in the store.
const writeAfter = 2 * time.Millisecond

// write has the queue write what there is to write, in a moment, and again when
// it says so.
func (r *run) write() {
	if r.writing {
		return
	}
	r.writing = true
	r.after(writeAfter, func() {
		r.writing = false
		next := r.jobs.Settle(context.Background())
		r.o.Watcher.Changed()
		if !next.IsZero() {
			r.after(max(next.Sub(r.Now()), writeAfter), r.write)
		}
	})
}

// heardOfJobs takes the store's news of jobs.
func (r *run) heardOfJobs(ctx context.Context) {
	b := r.o.Store.Since(jobs.Prefix, r.jobs.Revision()+1)
	if b.Err != nil {
		_ = r.jobs.Reload(ctx)
	} else {
		_ = r.jobs.Take(b)
	}
	r.write()
}

// Exec has a job made for a node that is there, as an operator does.
func (c *Controller) Exec(id api.NodeID, job string, argv []string) error {
	r := c.run
	switch {
	case r == nil || r.frozen:
		return fmt.Errorf("exec on node %s: AC %s does not answer", id, c.o.Name)
	case r.sessions[id] == nil:
		return fmt.Errorf("exec on node %s: it has no session with AC %s", id, c.o.Name)
	}
	_, err := r.jobs.Make(context.Background(), jobs.Order{
		By: "operator", Nodes: []api.Node{{ID: id}}, Request: api.JobRequest{ID: job, Exec: api.ExecRequest{Argv: argv}, To: api.Address{Nodes: []string{string(id)}}},
	})
	r.o.Watcher.Changed()
	if err != nil {
		return fmt.Errorf("exec on node %s: %w", id, err)
	}
	return nil
}

// Run is what the AC knows of a job on a node; false when it does not answer, or
// does not know the job.
func (c *Controller) Run(job string, id api.NodeID) (api.JobRun, bool) {
	if !c.Running() {
		return api.JobRun{}, false
	}
	j, err := c.run.jobs.Job(job)
	if err != nil {
		return api.JobRun{}, false
	}
	at := slices.IndexFunc(j.Runs, func(r api.JobRun) bool { return r.Node == id })
	if at < 0 {
		return api.JobRun{}, false
	}
	return j.Runs[at], true
}

// Said hands on the numbers of the pieces that are on the AC's disk of a job's
// output.
func (c *Controller) Said(job string, take func(node api.NodeID, seq uint64)) {
	for _, p := range c.said.jobs[job] {
		take(p.Node, p.Seq)
	}
}
