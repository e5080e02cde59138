package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// A drained node is refused new commands, or keeps them until it is undrained if
// they have time to live; what runs there goes on, and what g8os_core does itself
// is done.
func TestADrainedNodeBeginsNoCommand(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	n, other := newNode(r, 1), newNode(r, 2)
	s, free := n.session(n.climb()), other.session(other.climb())
	op := r.operator("operator.ann")
	job := func(id string, ttl int64, to ...string) (api.Job, error) {
		return op.MakeJob(t.Context(), api.JobRequest{ID: id, TTLMS: ttl, To: api.Address{Nodes: to}, Exec: api.ExecRequest{Argv: []string{"true"}}})
	}
	_, err := job("before", 0, n.mac)
	must(t, err)
	s.want(api.FrameExec)
	s.send(api.Frame{Type: api.FrameStarted, Job: "before"})
	if d, err := op.Drain(t.Context(), n.mac); err != nil || !d.Drained {
		t.Fatalf("%+v, %v", d, err)
	}

	_, err = job("refused", 0, n.mac)
	if f := failureOf(err); f.Status != http.StatusConflict || !strings.Contains(err.Error(), "drained since") || !strings.Contains(client.Remedy(err), "undrain") {
		t.Errorf("%v (remedy %q)", err, client.Remedy(err))
	}
	both, err := job("both", 0, n.mac, other.mac)
	if err != nil || both.Counts[api.JobRefused] != 1 {
		t.Errorf("of two nodes: %+v, %v", both, err)
	}
	if f := free.want(api.FrameExec); f.Job != "both" {
		t.Errorf("%+v", f)
	}
	_, err = job("waits", 60_000, n.mac)
	must(t, err)
	tick := api.JobRequest{ID: "tick", To: api.Address{Nodes: []string{n.mac}}, Exec: api.ExecRequest{Argv: []string{"true"}}}
	must(t, Recurring{r.srv}.Make(t.Context(), "a schedule", tick))
	if j, err := op.Job(t.Context(), "tick"); err != nil || j.Counts[api.JobRefused] != 1 {
		t.Errorf("of a schedule: %+v, %v", j, err)
	}

	ping := api.JobRequest{ID: "ping", To: api.Address{Nodes: []string{n.mac}}, Exec: api.ExecRequest{Builtin: api.BuiltinPing}}
	_, err = op.MakeJob(t.Context(), ping)
	must(t, err)
	if f := s.want(api.FrameExec); f.Job != "ping" {
		t.Errorf("handed to a drained node: %+v", f)
	}
	s.send(api.Frame{Type: api.FrameExit, Job: "before", Seq: 1, State: api.JobSuccess})
	eventually(t, "what ran has ended", func() bool {
		j, err := op.Job(t.Context(), "before")
		return err == nil && j.Counts[api.JobSuccess] == 1
	})
	_, err = op.Undrain(t.Context(), n.mac)
	must(t, err)
	if f := s.want(api.FrameExec); f.Job != "waits" {
		t.Errorf("undrained: %+v", f)
	}
}
