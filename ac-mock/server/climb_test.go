package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/core/api"
)

// A node climbs from nothing to managed, and an operator runs a command on it.
func TestClimbAndExec(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	h, err := n.hello()
	must(t, err)
	if h.Grid != grid || h.AC != "ac1" || time.Since(h.Time).Abs() > time.Minute {
		t.Errorf("hello: %+v", h)
	}
	s := n.session(n.climb())
	s.heartbeat(1, "managed")
	op := r.operator("operator.ann")
	list, err := op.Nodes(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].ID != n.id || list[0].Phase != "managed" {
		t.Fatalf("nodes: %+v", list)
	}

	type result struct {
		code int
		err  error
	}
	var stdout, stderr bytes.Buffer
	ended := make(chan result, 1)
	go func() {
		code, err := op.Exec(t.Context(), "host-"+string(n.id), api.ExecRequest{Argv: []string{"echo", "hi"}}, client.ExecOptions{Stdout: &stdout, Stderr: &stderr})
		ended <- result{code, err}
	}()
	job := s.want(api.FrameExec)
	if strings.Join(job.Exec.Argv, " ") != "echo hi" {
		t.Errorf("the node is told to run %q", job.Exec.Argv)
	}
	s.send(said(job.Job, 1, "hi\n"))
	s.send(api.Frame{Type: api.FrameOutput, Job: job.Job, Seq: 2, Stream: "stderr", Data: []byte("oh\n")})
	s.send(api.Frame{Type: api.FrameExit, Job: job.Job, Seq: 3, Code: 7})
	got := <-ended
	if got.code != 7 || got.err != nil || stdout.String() != "hi\n" || stderr.String() != "oh\n" {
		t.Errorf("exec: code %d, %v, stdout %q, stderr %q", got.code, got.err, &stdout, &stderr)
	}
	for s.want(api.FrameAck).Seq != 3 {
	}
}

// Output is neither lost nor doubled when the session is cut in the middle.
func TestExecOutlivesTheSession(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	own := n.climb()
	s := n.session(own)
	op := r.operator("admin.ann")
	var stdout bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		code, err := op.Exec(t.Context(), n.mac, api.ExecRequest{Argv: []string{"x"}}, client.ExecOptions{Job: "j1", Stdout: &stdout})
		ended <- errors.Join(err, map[bool]error{true: errors.New("exit code")}[code != 0])
	}()
	s.want(api.FrameExec)
	s.send(said("j1", 1, "one "))
	s.send(said("j1", 2, "two "))
	for s.want(api.FrameAck).Seq != 2 {
	}
	_ = s.conn.CloseNow()
	s = n.session(own)
	if f := s.want(api.FrameExec); f.Job != "j1" || f.Seq != 2 {
		t.Errorf("after the cut the node is told %+v, want job j1 from 2", f)
	}
	s.send(said("j1", 2, "two ")) // the node did not see its acknowledgement
	s.send(said("j1", 3, "three"))
	s.send(api.Frame{Type: api.FrameExit, Job: "j1", Seq: 4})
	must(t, <-ended)
	if stdout.String() != "one two three" {
		t.Errorf("stdout %q", &stdout)
	}
}

func TestExecIsCancelledWhenTheOperatorGoes(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	s := n.session(n.climb())
	op := r.operator("admin.ann")
	for _, keep := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _ = op.Exec(ctx, n.mac, api.ExecRequest{Argv: []string{"sleep"}}, client.ExecOptions{Keep: keep})
		}()
		job := s.want(api.FrameExec).Job
		cancel()
		if keep { // it goes on, and what it says is acknowledged
			s.send(said(job, 1, "x"))
			s.send(api.Frame{Type: api.FrameExit, Job: job, Seq: 2})
			for s.want(api.FrameAck).Seq != 2 {
			}
		} else if f := s.want(api.FrameCancel); f.Job != job {
			t.Errorf("cancel of %q, want %q", f.Job, job)
		}
	}
}

func TestExecOnANodeThatIsAway(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	n.climb()
	op := r.operator("operator.ann")
	_, err := op.Exec(t.Context(), n.mac, api.ExecRequest{Argv: []string{"x"}}, client.ExecOptions{})
	if err == nil || !strings.Contains(err.Error(), "no session") || client.Remedy(err) == "" {
		t.Errorf("exec on a node without a session: %v (remedy %q)", err, client.Remedy(err))
	}
	if _, err = op.Exec(t.Context(), "nobody", api.ExecRequest{Argv: []string{"x"}}, client.ExecOptions{}); err == nil {
		t.Error("exec on an unknown node works")
	}
	if _, err = op.Exec(t.Context(), n.mac, api.ExecRequest{}, client.ExecOptions{}); err == nil {
		t.Error("exec of nothing works")
	}
}

// The newer session of a node replaces the older, which is told. (T30: two
// machines with one identity push each other out, and are found out.)
func TestT30CloneIsFound(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	own := n.climb()
	for range 4 {
		conn, _, err := n.dial(own)
		must(t, err)
		s := &nodeSession{r, conn}
		go func() { // a living machine: it reads until it is told
			for {
				if _, err := s.read(); err != nil {
					if websocket.CloseStatus(err) != api.CloseReplaced && websocket.CloseStatus(err) != api.CloseRevoked && t.Context().Err() == nil {
						t.Errorf("the older session ends with %v", err)
					}
					return
				}
			}
		}()
	}
	eventually(t, "the clone is suspected", func() bool { return r.book.did("suspect " + string(n.id)) })
	eventually(t, "no session is left", func() bool { return r.srv.Sessions() == 0 })
}

// A node that reconnects because its way broke is no clone.
func TestReconnectIsNoClone(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	own := n.climb()
	for range 6 {
		s := n.session(own)
		s.heartbeat(1, "managed")
		_ = s.conn.CloseNow()
	}
	s := n.session(own)
	s.heartbeat(1, "managed")
	if r.book.did("suspect " + string(n.id)) {
		t.Error("a node with a bad cable is suspected")
	}
}

// T31: a node with a certificate cannot speak for another node.
func TestT31NodeSpeaksOnlyForItself(t *testing.T) {
	r := newRig(t, nil)
	a, b := newNode(r, 1), newNode(r, 2)
	own := a.climb()
	b.climb()
	a.connect(own)
	if s := a.post(api.PathConfirm, a.sign(api.PurposeConfirm, a.nonce(), api.Confirm{NodeID: b.id, Generation: 1}), nil); s != http.StatusForbidden {
		t.Errorf("node a confirms for node b: %d", s)
	}
	if len(r.book.proofs) != 1 || !strings.Contains(r.book.proofs[0].Error(), "speaks for") {
		t.Errorf("noted: %v", r.book.proofs)
	}
	if s := a.post(api.PathConfirm, a.sign(api.PurposeConfirm, a.nonce(), api.Confirm{NodeID: a.id, Generation: 1}), nil); s != http.StatusOK {
		t.Errorf("node a confirms for itself: %d", s)
	}
}

func TestSessionsNeedAnEnrolledNode(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	own := n.climb()
	stranger := newNode(r, 9)
	for what, c := range map[string]func() (*websocket.Conn, *http.Response, error){
		"an operator's certificate": func() (*websocket.Conn, *http.Response, error) {
			return n.dial(r.credentials(api.RoleOperator, "admin.x"))
		},
		"a node that is not in the book": func() (*websocket.Conn, *http.Response, error) {
			return stranger.dial(r.credentials(api.RoleNode, stranger.mac))
		},
	} {
		if _, res, err := c(); err == nil || res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("session with %s: %v", what, err)
		}
	}
	s := n.session(own)
	r.book.revoked <- n.id
	for {
		if _, err := s.read(); err != nil {
			if websocket.CloseStatus(err) != api.CloseRevoked {
				t.Errorf("a revoked node's session ends with %v", err)
			}
			return
		}
	}
}

func TestSilentSessionIsCut(t *testing.T) {
	timing := dispatch.DefaultTiming
	timing.Silence = time.Second
	r := newRig(t, func(o *Options) { o.Timing = timing })
	n := newNode(r, 1)
	s := n.session(n.climb())
	for {
		if _, err := s.read(); err != nil {
			if websocket.CloseStatus(err) != api.CloseSilent {
				t.Errorf("a silent session ends with %v", err)
			}
			return
		}
	}
}

func TestStopTellsTheNodes(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	s := n.session(n.climb())
	go r.stop()
	for {
		if _, err := s.read(); err != nil {
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the session ends with %v", err)
			}
			return
		}
	}
}

func TestRoles(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	n.climb()
	for _, c := range []struct {
		name                     string
		see, approve, end, fault bool
	}{
		{"viewer.v", true, false, false, false},
		{"operator.o", true, true, false, false},
		{"admin.a", true, true, true, true},
		{"nobody.n", false, false, false, false},
	} {
		op := r.operator(c.name)
		check := func(what string, err error, want bool) {
			t.Helper()
			if (err == nil) != want {
				t.Errorf("%s may %s: %v, want %v", c.name, what, err, want)
			}
			if f, ok := errors.AsType[*client.Failure](err); err != nil && (!ok || f.Remedy == "") {
				t.Errorf("%s, %s: no remedy in %v", c.name, what, err)
			}
		}
		_, err := op.Nodes(t.Context())
		check("see nodes", err, c.see)
		_, err = op.Audit(t.Context(), "", 0, 0)
		check("see the audit", err, c.see)
		_, err = op.Approve(t.Context(), n.mac)
		check("approve", err, c.approve)
		_, err = op.Quarantine(t.Context(), n.mac)
		check("quarantine", err, c.end)
		_, err = op.Arm(t.Context(), api.Fault{Name: "slow", ForMS: 1})
		check("arm a fault", err, c.fault)
	}
	n.connect(r.credentials(api.RoleNode, n.mac))
	if res, err := n.http.Get(n.url(api.PathNodes)); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a node lists nodes: %v %v", res, err)
	}
}

func TestWatchAndAudit(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	own := n.climb()
	op := r.operator("viewer.v")
	done := errors.New("seen enough")
	s := n.session(own)
	s.heartbeat(1, "managed")
	err := op.WatchNodes(t.Context(), func(list []api.Node) error {
		switch list[0].Phase {
		case "managed":
			_ = s.conn.CloseNow()
		case "offline":
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("watch: %v", err)
	}
	list, err := op.Audit(t.Context(), "", 1, 0)
	if err != nil || len(list) != 1 || list[0].Seq != 2 {
		t.Errorf("audit after 1: %+v, %v", list, err)
	}
}
