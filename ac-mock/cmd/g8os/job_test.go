package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

func TestJobCommands(t *testing.T) {
	g, w := clienttest.NewGrid(t), newWorking(t)
	path := g.Context("default", g.AC(w.handler(), time.Now().Add(time.Hour)))
	w.make(api.JobRequest{ID: "one", To: api.Address{All: true}, Exec: api.ExecRequest{Argv: []string{"exit", "3", "n2", "only"}}}, []string{"n1", "n2", "n3", "n9"})
	w.make(api.JobRequest{ID: "two", To: api.Address{Nodes: []string{"n1"}}, Exec: api.ExecRequest{Argv: []string{"hang"}}}, []string{"n1"})
	w.make(api.JobRequest{ID: "three", To: api.Address{Roles: []string{"web"}}, Exec: api.ExecRequest{Argv: []string{"ls"}}}, []string{"n1", "n2"})
	w.make(api.JobRequest{ID: "waits", To: api.Address{Nodes: []string{"n9"}}, TTLMS: 3600_000, Exec: api.ExecRequest{Argv: []string{"ls"}}}, []string{"n9"})
	w.make(api.JobRequest{ID: "void", To: api.Address{Nodes: []string{"n3"}}, Exec: api.ExecRequest{Argv: []string{"revoked"}}}, []string{"n3"})
	w.make(api.JobRequest{ID: "talks", To: api.Address{Nodes: []string{"n1", "n2"}}, Exec: api.ExecRequest{Argv: []string{"levels"}}}, []string{"n1", "n2"})
	w.jobs["two"].By = "spiffe://test.grid/operator/operator.bob"
	w.jobs["three"].By = "schedule:nightly"
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"job list", 0, "JOB    AGE  BY                COMMAND  NODES  STATE\none    0s   test              exit     4      2 success, 1 error, 1 refused\n", ""},
		{"job list", 0, "three  0s   schedule:nightly  ls       2      success\ntwo    0s   bob               hang     1      running\n", ""},
		{"job list --state running", 0, "STATE\ntwo ", ""},
		{"job list --mine -n 1 -o json", 0, `"id": "one"`, ""},
		{"job show one", 0, "n2    error    3     -      -     exit status 3\n", ""},
		{"job show one", 0, "n9    refused  -     -      -     the node is away\n", ""},
		{"job show one", 0, "for           --all\n", ""},
		{"job show one -o json", 0, `"state": "refused"`, ""},
		{"job logs three", 0, "n1 | [\"ls\"]\nn1 | no end\n", "n2 | err\n"},
		{"job logs three --node n2", 0, "[\"ls\"]\nno end", "err\n"},
		{"job logs three --stderr", 0, "", "n1 | err\nn2 | err\n"},
		{"job logs -f three", 0, "n2 | no end\n", "n2 | err\n"},
		{"job logs two", 0, "begun\n", ""},
		{"job logs talks --level 7-9", 0, "n1 | disk nearly full\nn1 | first\nn1 | second\nn2 | disk nearly full\nn2 | first\nn2 | second\nn1 | no end\nn2 | no end\n", "n1 | on fire\nn2 | on fire\n"},
		{"job logs -f talks --level 8 --node n1", 0, "first\nsecond\n", ""},
		{"job logs talks --level 1 --node n2", 0, "plain\nplain again\n", ""},
		{"job logs talks --level 9-7", 2, "", "such as 7-9"},
		{"job logs talks --level loud", 2, "", "such as 7-9"},
		{"job logs -f void", 1, "", "does not count any more"},
		{"job logs two -o json", 0, `"data":"YmVndW4K"`, ""},
		{"job cancel waits", 0, "state         cancelled\n", ""},
		{"job cancel two -o json", 0, `"killed": 1`, ""},
		{"job show two", 0, "n1    killed  143   -      -     exit status 143\n", ""},
		{"job retry one", 1, "", "of 2 nodes 0 succeeded, 1 failed, 1 not reached\n      exit status 3     n2\n      the node is away  n9\n"},
		{"job retry -d three", 0, "three-again\n", ""},
	} {
		code, stdout, stderr := try(t, path, split(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || c.stdout == "" && stdout != "" ||
			!strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("g8os %s: exit %d, want %d\nstdout: %s\nstderr: %s", c.args, code, c.code, stdout, stderr)
		}
	}
	if _, stdout, _ := try(t, path, "job", "list", "--mine"); strings.Contains(stdout, "bob") || strings.Contains(stdout, "nightly") {
		t.Errorf("--mine shows those of others:\n%s", stdout)
	}
}

// Who follows a job's output and goes away has not stopped the job.
func TestFollowingIsNotHolding(t *testing.T) {
	g, w := clienttest.NewGrid(t), newWorking(t)
	path := g.Context("default", g.AC(w.handler(), time.Now().Add(time.Hour)))
	w.make(api.JobRequest{ID: "two", To: api.Address{Nodes: []string{"n1"}}, Exec: api.ExecRequest{Argv: []string{"hang"}}}, []string{"n1"})
	ctx, cancel := context.WithCancel(t.Context())
	var errs bytes.Buffer
	code := run(ctx, []string{"--context", path, "job", "logs", "-f", "two"}, environment{stdout: &awaited{text: "begun", seen: cancel}, stderr: &errs, getenv: func(string) string { return "" }})
	if code != exitInterrupted || w.jobs["two"].Runs[0].State != api.JobRunning {
		t.Errorf("exit %d, the job is %s: %s", code, w.jobs["two"].Runs[0].State, &errs)
	}
}

func TestNamesAreBounded(t *testing.T) {
	var many []string
	for i := range 20 {
		many = append(many, "n-"+strings.Repeat("1", i%3)+string(rune('a'+i)))
	}
	if got := some(many); strings.Count(got, ",") != shownNames-1 || !strings.HasSuffix(got, "and 12 more") {
		t.Errorf("got %s", got)
	}
	if got := some([]string{"n-10", "n-2"}); got != "n-2, n-10" {
		t.Errorf("got %s", got)
	}
}
