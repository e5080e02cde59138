package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

// split makes words of a line as a shell does that knows only '…'.
func split(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func TestExec(t *testing.T) {
	g := clienttest.NewGrid(t)
	path := g.Context("default", g.AC(newWorking(t).handler(), time.Now().Add(time.Hour)))
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string // what must be in it; "" nothing
	}{
		{"exec n1 -- ls -l --all", 0, `["ls" "-l" "--all"]`, "err\n"},
		{"exec n1 ls -- x", 0, `["ls" "--" "x"]`, "err\n"},
		{"exec n1 --timeout 30s -- ls", 0, `["ls"]`, "err\n"},
		{"exec n1 -- exit 3", 3, "", ""},
		{"exec n1 -- exit 255", 255, "", ""},
		{"exec n1 -- nosuch", 127, "", "on n1: run nosuch: not found"},
		{"exec n1 -- late", 137, "", "longer than its timeout"},
		{"exec n1 -- lost", 255, "", "nobody knows how it ended\n      → see on the node"},
		{"exec n9 -- ls", 255, "", "the node is away\n      → wait until the node is managed (g8os nodes --watch), or let the job wait for it: --queue 1h"},
		{"exec n7 -- ls", 255, "", "no such node\n      → g8os nodes"},
		{"exec n1 -- revoked", 255, "", "is not shown any more: the operator's certificate does not count any more"},
		{"exec n1 -- binary", 0, "\x00\xff\n\x01", ""},
		{"exec n1 -- much", 0, "", "7 bytes of output are lost"},
		{"exec --role web -- ls -l", 0, "n1 | [\"ls\" \"-l\"]\nn1 | no end\nn2 | [\"ls\" \"-l\"]\nn2 | no end\n", "n1 | err\nn2 | err\ng8os: job "},
		{"exec --role web -- ls", 0, "n1 | ", ": of 2 nodes 2 succeeded\n"},
		{"exec --role web -- exit 3 n2 only", 1, "", "1 succeeded, 1 failed\n      exit status 3  n2\n"},
		{"exec --role web ls -- x", 2, "", "ls before -- is a node"},
		{"exec --role mail -- ls", 255, "", "no enrolled node has the role\n      →"},
		{"exec --all -- exit 0", 1, "", "of 4 nodes 3 succeeded, 1 not reached\n      the node is away  n9\n"},
		{"exec n1,n9 -- exit 0", 1, "", "of 2 nodes 1 succeeded, 1 not reached"},
		{"exec n1,n1 -- exit 0", 0, "", "2 succeeded"},
		{"exec n1, -- exit 0", 2, "", "NODE,NODE"},
		{"exec --all --role web -- ls", 2, "", "say one of them"},
		{"exec -- ls", 2, "", "no command"},
		{"exec", 2, "", "no node"},
		{"exec n1", 2, "", "no command"},
		{"exec n1 --", 2, "", "no command"},
		{"exec n1 --queue=-1s -- ls", 2, "", "--queue"},
		{"exec n1 --parallel=-1 -- ls", 2, "", "--parallel"},
		{"exec n1 -o json -- exit 3", 3, `"state":"error","code":3`, ""},
		{"exec -d n1 -- exit 3", 0, "\n", "1 node; follow it with g8os job logs -f "},
		{"exec -d -o json --role web -- exit 3", 0, `"nodes": 2`, ""},
		{"exec -d n7 -- ls", 255, "", "no such node"},
		{"job retry nojob", 255, "", "no such job"},
		{"job show nojob", 1, "", "no such job"},
		{"job logs nojob", 1, "", "no such job"},
		{"job list --state odd", 2, "", "state"},
		{"job list --limit=-1", 2, "", "-n -1"},
	} {
		code, stdout, stderr := try(t, path, split(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || c.stdout == "" && stdout != "" ||
			!strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("g8os %s: exit %d, want %d\nstdout: %q\nstderr: %s", c.args, code, c.code, stdout, stderr)
		}
	}
}

// What is said about a job is what the AC is asked for.
func TestTermsReachTheAC(t *testing.T) {
	g, w := clienttest.NewGrid(t), newWorking(t)
	path := g.Context("default", g.AC(w.handler(), time.Now().Add(time.Hour)))
	if code, _, stderr := try(t, path, split("exec --all --timeout 30s --queue 24h --serial apt --parallel 20 --user bob -e A=1,2 -e B= -C /tmp -d -- apt-get '-y x'")...); code != 0 {
		t.Fatal(stderr)
	}
	for id, q := range w.asked {
		q.ID = ""
		got, _ := json.Marshal(q)
		want, _ := json.Marshal(api.JobRequest{
			To: api.Address{All: true}, TTLMS: 24 * 3600 * 1000, Queue: "apt", Parallel: 20, Detached: true,
			Exec: api.ExecRequest{Argv: []string{"apt-get", "-y x"}, TimeoutMS: 30_000, User: "bob", Dir: "/tmp", Env: map[string]string{"A": "1,2", "B": ""}},
		})
		if !bytes.Equal(got, want) {
			t.Errorf("job %s: %s\nwant %s", id, got, want)
		}
	}
}

// A stream that breaks after every event is taken up again, at whichever AC
// answers: nothing comes twice, nothing is left out, and the job is one.
func TestExecOutlivesConnections(t *testing.T) {
	g, w := clienttest.NewGrid(t), newWorking(t)
	w.breaks, w.hidden = 4, true
	path := g.Context("default", "https://127.0.0.1:1", g.AC(w.handler(), time.Now().Add(time.Hour)), g.AC(w.handler(), time.Now().Add(time.Hour)))
	code, stdout, stderr := try(t, path, "exec", "--role", "web", "--", "ls")
	if want := "n1 | [\"ls\"]\nn1 | no end\nn2 | [\"ls\"]\nn2 | no end\n"; code != 0 || stdout != want || len(w.jobs) != 1 {
		t.Errorf("exit %d, %d jobs, %q, want %q\n%s", code, len(w.jobs), stdout, want, stderr)
	}
	if !strings.Contains(stderr, "trying again until Ctrl-C") || strings.Count(stderr, "n1 | err") != 1 {
		t.Errorf("stderr: %s", stderr)
	}
}

// awaited is a writer that tells when a text was written to it.
type awaited struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	text string
	seen func()
}

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := a.buf.Write(p)
	if a.seen != nil && strings.Contains(a.buf.String(), a.text) {
		a.seen()
		a.seen = nil
	}
	return n, err
}

func (a *awaited) String() string { a.mu.Lock(); defer a.mu.Unlock(); return a.buf.String() }

// Ctrl-C stops the command wherever it has not ended; with --keep it goes on, and
// one is told how to find it again.
func TestExecInterrupted(t *testing.T) {
	for _, c := range []struct {
		args  string
		state api.JobState
		says  string
	}{
		{"exec n1 -- hang", api.JobKilled, "the command is being stopped (job "},
		{"exec --role web --queue 1h -- hang", api.JobKilled, "the command is being stopped (job "},
		{"exec --keep n1 -- hang", api.JobRunning, "goes on: g8os job logs -f "},
	} {
		g, w := clienttest.NewGrid(t), newWorking(t)
		path := g.Context("default", g.AC(w.handler(), time.Now().Add(time.Hour)))
		ctx, cancel := context.WithCancel(t.Context())
		out, errs := &awaited{text: "begun", seen: cancel}, &awaited{}
		code := run(ctx, append([]string{"--context", path}, split(c.args)...), environment{stdout: out, stderr: errs, getenv: func(string) string { return "" }})
		if code != exitInterrupted || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: exit %d, %s", c.args, code, errs)
		}
		for _, j := range w.jobs {
			if j.Runs[0].State != c.state {
				t.Errorf("%s: the job is %s, want %s", c.args, j.Runs[0].State, c.state)
			}
		}
	}
}

// A script is sent with its arguments, or it is said at once why it cannot be.
func TestRunScript(t *testing.T) {
	g, w := clienttest.NewGrid(t), newWorking(t)
	path := g.Context("default", g.AC(w.handler(), time.Now().Add(time.Hour)))
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"good": "#!/bin/sh\necho $1\n", "empty": "", "plain": "echo\n", "dos": "#!/bin/sh\r\necho\r\n",
		"large": "#!/bin/sh\n" + strings.Repeat("#", maxScript), "largest": "#!/bin/sh\n" + strings.Repeat("\xff", maxScript-10),
	} {
		if err := os.WriteFile(filepath.Join(".", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"run good n1 -- --fast 'a b'", 0, "#!/bin/sh\necho $1\n[\"--fast\" \"a b\"]\n", ""},
		{"run good n1", 0, "echo $1\n[]\n", ""},
		{"run good --role web x", 0, "n2 | [\"x\"]\n", "2 succeeded"},
		{"run largest n1 -d", 0, "", "follow it"},
		{"run good", 2, "", "no node"},
		{"run missing n1", 2, "", "missing"},
		{"run empty n1", 2, "", "is empty"},
		{"run plain n1", 2, "", "begin its first line with #!"},
		{"run dos n1", 2, "", "CR LF"},
		{"run large n1", 2, "", "g8os cp"},
		{"run . n1", 2, "", "directory"},
	} {
		code, stdout, stderr := try(t, path, split(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("g8os %s: exit %d, want %d\nstdout: %q\nstderr: %s", c.args, code, c.code, stdout, stderr)
		}
	}
	for _, q := range w.asked {
		if body, err := json.Marshal(q); err != nil || len(body) > api.MaxBody {
			t.Errorf("a request of %d bytes, at most %d are taken (%v)", len(body), api.MaxBody, err)
		}
	}
	var out, errs bytes.Buffer
	env := environment{stdin: strings.NewReader("#!/usr/bin/env python3\n"), stdout: &out, stderr: &errs, getenv: func(string) string { return "" }}
	if code := run(t.Context(), []string{"--context", path, "run", "-", "n1"}, env); code != 0 || !strings.Contains(out.String(), "python3") {
		t.Errorf("from stdin: exit %d, %s%s", code, &out, &errs)
	}
}
