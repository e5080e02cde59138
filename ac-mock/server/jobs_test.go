package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

func failureOf(err error) client.Failure {
	if f, ok := errors.AsType[*client.Failure](err); ok {
		return *f
	}
	return client.Failure{}
}

// A job for a node that is away waits for it, is listed, and can be followed by
// others than its maker.
func TestT33JobWaitsForItsNode(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	own := n.climb()
	op, viewer := r.operator("operator.ann"), r.operator("viewer.bob")
	req := api.JobRequest{ID: "j1", To: api.Address{Nodes: []string{n.mac}}, Exec: api.ExecRequest{Argv: []string{"/bin/echo", "hi"}}, TTLMS: 60_000}
	j, err := op.MakeJob(t.Context(), req)
	if err != nil || j.Counts[api.JobQueued] != 1 || j.Command != "echo" || len(j.Runs) != 1 {
		t.Fatalf("%+v, %v", j, err)
	}
	if again, err := op.MakeJob(t.Context(), req); err != nil || again.ID != "j1" {
		t.Errorf("again: %+v, %v", again, err)
	}
	s := n.session(own)
	s.want(api.FrameExec)
	s.send(api.Frame{Type: api.FrameStarted, Job: "j1"})
	s.send(said("j1", 1, "hi\n"))
	s.send(api.Frame{Type: api.FrameExit, Job: "j1", Seq: 2, State: api.JobError, Code: 3})
	var out string
	var last api.JobEvent
	err = viewer.FollowJob(t.Context(), "j1", "", func(e api.JobEvent) error {
		if out += string(e.Data); e.State.Ended() {
			last = e
		}
		return nil
	})
	if err != nil || out != "hi\n" || last.State != api.JobError || last.Code != 3 || last.Name == "" {
		t.Errorf("%q, %+v, %v", out, last, err)
	}
	list, err := viewer.Jobs(t.Context(), client.JobsQuery{State: api.JobError, Node: n.mac, Limit: 1})
	if err != nil || len(list) != 1 || list[0].Ended == nil {
		t.Errorf("%+v, %v", list, err)
	}
	if again, err := op.RetryJob(t.Context(), "j1"); err != nil || again.RetryOf != "j1" || again.Nodes != 1 {
		t.Errorf("retry: %+v, %v", again, err)
	}
}

// Bad requests are refused with what is wrong, and nothing comes of them.
func TestBadJobs(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	s := n.session(n.climb())
	op, viewer := r.operator("operator.ann"), r.operator("viewer.bob")
	good := api.JobRequest{To: api.Address{Nodes: []string{n.mac}}, Exec: api.ExecRequest{Argv: []string{"true"}}}
	for name, c := range map[string]struct {
		change func(*api.JobRequest)
		status int
	}{
		"unknown node":        {func(q *api.JobRequest) { q.To.Nodes = []string{"nobody"} }, http.StatusNotFound},
		"no command":          {func(q *api.JobRequest) { q.Exec.Argv = nil }, http.StatusBadRequest},
		"empty command":       {func(q *api.JobRequest) { q.Exec.Argv = []string{""} }, http.StatusBadRequest},
		"two commands":        {func(q *api.JobRequest) { q.Exec.Builtin = api.BuiltinPing }, http.StatusBadRequest},
		"an id of dots":       {func(q *api.JobRequest) { q.ID = ".." }, http.StatusBadRequest},
		"bad id":              {func(q *api.JobRequest) { q.ID = "../x" }, http.StatusBadRequest},
		"negative timeout":    {func(q *api.JobRequest) { q.Exec.TimeoutMS = -1 }, http.StatusBadRequest},
		"endless time":        {func(q *api.JobRequest) { q.TTLMS = 1 << 62 }, http.StatusBadRequest},
		"negative parallel":   {func(q *api.JobRequest) { q.Parallel = -1 }, http.StatusBadRequest},
		"bad queue":           {func(q *api.JobRequest) { q.Queue = "a\nb" }, http.StatusBadRequest},
		"too large for frame": {func(q *api.JobRequest) { q.Exec.Script = make([]byte, api.MaxFrame) }, http.StatusBadRequest},
	} {
		q := good
		c.change(&q)
		if _, err := op.MakeJob(t.Context(), q); failureOf(err).Status != c.status || client.Remedy(err) == "" {
			t.Errorf("%s: %v (remedy %q), want status %d", name, err, client.Remedy(err), c.status)
		}
	}
	if _, err := viewer.MakeJob(t.Context(), good); failureOf(err).Status != http.StatusForbidden {
		t.Errorf("a viewer runs a command: %v", err)
	}
	if list, err := op.Jobs(t.Context(), client.JobsQuery{}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	ping := api.JobRequest{ID: "p", To: api.Address{All: true}, Exec: api.ExecRequest{Builtin: api.BuiltinPing}}
	if _, err := viewer.MakeJob(t.Context(), ping); err != nil {
		t.Errorf("a viewer may not ask what only reads: %v", err)
	}
	if f := s.want(api.FrameExec); f.Exec.Builtin != api.BuiltinPing {
		t.Errorf("%+v", f)
	}
	ping.Queue = "q"
	if _, err := viewer.MakeJob(t.Context(), ping); failureOf(err).Status != http.StatusConflict {
		t.Errorf("an id that is taken: %v", err)
	}
	if _, err := viewer.CancelJob(t.Context(), "p", ""); failureOf(err).Status != http.StatusForbidden {
		t.Errorf("a viewer cancels: %v", err)
	}
	for _, err := range []error{
		op.FollowJob(t.Context(), "nobody", "", nil), second(op.Job(t.Context(), "nobody")), second(op.CancelJob(t.Context(), "nobody", "")), second(op.RetryJob(t.Context(), "nobody")),
	} {
		if failureOf(err).Status != http.StatusNotFound {
			t.Errorf("a job that there is not: %v", err)
		}
	}
	if err := op.FollowJob(t.Context(), "p", "x", nil); failureOf(err).Status != http.StatusBadRequest {
		t.Errorf("a bad cursor: %v", err)
	}
	if _, err := op.RetryJob(t.Context(), "p"); failureOf(err).Status != http.StatusConflict {
		t.Errorf("retry of what runs: %v", err)
	}
}

func second(_ api.Job, err error) error { return err }

// Of a job for several nodes, those that are away are refused, and the others do
// it; one that goes away with it does it when it is back.
func TestT32FanOut(t *testing.T) {
	r := newRig(t, nil)
	op := r.operator("operator.ann")
	for i := range 5 {
		n := newNode(r, i+1)
		own := n.climb()
		if i == 0 { // never there
			continue
		}
		s := n.session(own)
		go func() {
			f := s.want(api.FrameExec)
			if i == 1 { // gone, and back
				_ = s.conn.CloseNow()
				s = n.session(own)
				f = s.want(api.FrameExec)
			}
			s.send(api.Frame{Type: api.FrameExit, Job: f.Job, Seq: 1, State: api.JobSuccess})
		}()
	}
	count := map[api.JobState]int{}
	err := op.RunJob(context.WithoutCancel(t.Context()), api.JobRequest{To: api.Address{All: true}, Exec: api.ExecRequest{Argv: []string{"true"}}}, func(e api.JobEvent) error {
		if e.State.Ended() {
			count[e.State]++
			if e.State == api.JobRefused && !strings.Contains(e.Error, "it has never been seen") {
				t.Errorf("refused: %q", e.Error)
			}
		}
		return nil
	})
	if err != nil || count[api.JobSuccess] != 4 || count[api.JobRefused] != 1 {
		t.Errorf("%v, %v", count, err)
	}
}
