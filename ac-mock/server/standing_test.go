package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/core/api"
)

// endsRevoked waits until the AC ends a session because of its certificate.
func (s *nodeSession) endsRevoked() {
	s.rig.Helper()
	for {
		if _, err := s.read(); err != nil {
			if got := websocket.CloseStatus(err); got != api.CloseRevoked {
				s.rig.Errorf("the session ends with status %d (%v), want %d", got, err, api.CloseRevoked)
			}
			return
		}
	}
}

// A session does not outlive the certificate that it was opened with.
func TestSessionEndsWithItsCertificate(t *testing.T) {
	var ahead atomic.Int64
	r := newRealRigWith(t, enrol.ModeOpen, func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		o.Timing = dispatch.DefaultTiming
		o.Timing.Silence = 1000 * time.Hour // only the certificate may end it
	})
	n := newNode(r, 1)
	s := n.session(n.climb())
	s.heartbeat(1, "managed")
	ahead.Store(int64(10 * 24 * time.Hour))
	s.endsRevoked()
}

// closing is a book in which a node is shut out between the look at its
// certificate and its session.
type closing struct{ Registry }

func (c closing) Holds(api.NodeID, *x509.Certificate) error { return errUnknown }

// A node that is shut out while its session begins does not get one.
func TestRevokedWhileTheSessionBegins(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Registry = closing{o.Registry}
		o.Timing = dispatch.DefaultTiming
		o.Timing.Silence = 1000 * time.Hour
	})
	n := newNode(r, 1)
	conn, _, err := n.dial(n.climb())
	must(t, err)
	s := &nodeSession{r, conn}
	defer conn.CloseNow()
	if f, err := s.read(); err == nil {
		t.Errorf("it is told %+v", f)
	}
	if r.srv.Sessions() != 0 {
		t.Error("the session stands")
	}
}

// denying is a CA that has revoked everything.
type denying struct {
	Trust
	on atomic.Bool
}

func (d *denying) Denied(cert *x509.Certificate) error {
	if d.on.Load() {
		return errUnknown
	}
	return d.Trust.Denied(cert)
}

// An operator's connection that stands does not outlive his certificate.
func TestOperatorsConnectionEndsWithItsCertificate(t *testing.T) {
	for _, c := range []struct {
		name string
		void func(d *denying, ahead *atomic.Int64)
	}{
		{"expired", func(_ *denying, ahead *atomic.Int64) { ahead.Store(int64(2 * time.Hour)) }},
		{"revoked", func(d *denying, _ *atomic.Int64) { d.on.Store(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ahead atomic.Int64
			var trust denying
			r := newRig(t, func(o *Options) {
				trust.Trust, o.Trust = o.Trust, &trust
				o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			})
			op := newNode(r, 1) // his browser, on one connection
			op.connect(r.credentials(api.RoleOperator, "admin.ann"))
			ask := func() (status int) {
				if res, err := op.http.Get(op.url(api.PathNodes)); err == nil {
					_ = res.Body.Close()
					status = res.StatusCode
				}
				return status
			}
			if s := ask(); s != http.StatusOK {
				t.Fatalf("nodes: %d", s)
			}
			standing := op.conn
			c.void(&trust, &ahead)
			if s := ask(); s != http.StatusUnauthorized || op.conn != standing {
				t.Errorf("on the connection that stands he gets %d, want 401 (still on it: %v)", s, op.conn == standing)
			}
		})
	}
}

// What lasts ends within a second when the operator's certificate is revoked:
// he sees no more of the nodes, and his command is stopped, also one that was to
// go on without him.
func TestRevokedOperatorSeesNoMore(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) { revokedSeesNoMore(t, keep) })
	}
}

func revokedSeesNoMore(t *testing.T, keep bool) {
	t.Helper()
	var trust denying
	r := newRig(t, func(o *Options) { trust.Trust, o.Trust = o.Trust, &trust })
	n := newNode(r, 1)
	s := n.session(n.climb())
	op := r.operator("operator.ann")
	ends := make(chan error, 2)
	watching := make(chan struct{}, 100)
	go func() {
		ends <- op.WatchNodes(t.Context(), func([]api.Node) error { watching <- struct{}{}; return nil })
	}()
	go func() {
		_, err := op.Exec(t.Context(), n.mac, api.ExecRequest{Argv: []string{"sleep"}}, client.ExecOptions{Job: "j1", Keep: keep})
		ends <- err
	}()
	<-watching
	s.want(api.FrameExec)
	began := time.Now()
	trust.on.Store(true)
	said := fmt.Sprint(<-ends, <-ends)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(said, "does not count any more") {
		t.Errorf("he is told %q", said)
	}
	if f := s.want(api.FrameCancel); f.Job != "j1" {
		t.Errorf("stopped: %+v", f)
	}
}

// A page of somebody else cannot act with the certificate in an operator's
// browser.
func TestForeignPageCannotAct(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	n.climb()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.clientTLS(r.credentials(api.RoleOperator, "admin.ann"))}}
	defer client.CloseIdleConnections()
	for origin, want := range map[string]int{"https://evil.example": http.StatusForbidden, "https://" + r.addr: http.StatusOK, "": http.StatusOK} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.addr+strings.Replace(api.PathApprove, "{id}", string(n.id), 1), nil)
		must(t, err)
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := client.Do(req)
		must(t, err)
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("approve from a page of %q: %d, want %d", origin, res.StatusCode, want)
		}
	}
}

// A command is root on a node: it is audited before it runs, and without a
// store to write that to it does not run. An AC without its store is not ready.
func TestExecIsAudited(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	s := n.session(n.climb())
	op := r.operator("operator.ann")
	go func() {
		_, _ = op.Exec(t.Context(), n.mac, api.ExecRequest{Argv: []string{"mysql", "-phunter2"}}, client.ExecOptions{Job: "j1"})
	}()
	s.want(api.FrameExec)
	if want := "exec " + string(n.id) + " by spiffe://" + grid + "/operator/operator.ann: job j1: mysql with 1 arguments"; !r.book.did(want) {
		t.Errorf("the audit has %q, want %q", r.book.actions, want)
	}
	r.book.mu.Lock()
	r.book.broken = errUnknown
	r.book.mu.Unlock()
	if _, err := op.Exec(t.Context(), n.mac, api.ExecRequest{Argv: []string{"true"}}, client.ExecOptions{}); err == nil {
		t.Error("a command runs although it cannot be audited")
	}
	res, err := n.http.Get(n.url(api.PathReady))
	must(t, err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("ready without a store: %d", res.StatusCode)
	}
}

// A node that renews its certificate changes its session each time, and is no
// clone for that.
func TestRenewalIsNoClone(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	n.climb()
	for range 6 {
		conn, _, err := n.dial(n.certificate())
		must(t, err)
		s := &nodeSession{r, conn}
		s.heartbeat(1, "managed")
		go func() { // a living machine: it reads until it is told
			for err == nil {
				_, err = s.read()
			}
		}()
	}
	r.stop()
	if r.book.did("suspect " + string(n.id)) {
		t.Error("a node that renews its certificate is suspected")
	}
}

// A node that changes all the time does not have the list of all nodes made
// anew each time.
func TestWatchIsPaced(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	s := n.session(n.climb())
	op := r.operator("viewer.ann")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := make(chan struct{}, 1000)
	began := time.Now()
	go func() {
		_ = op.WatchNodes(ctx, func([]api.Node) error { lines <- struct{}{}; return nil })
	}()
	<-lines
	for seq := range uint64(500) {
		s.heartbeat(seq+1, fmt.Sprint("phase-", seq))
	}
	took := time.Since(began)
	if got, most := len(lines), int(took/watchPause)+2; got > most {
		t.Errorf("%d lines in %v, want at most %d", got, took, most)
	}
}

// A command that no frame can carry is refused, and does not end the session
// of the node for ever.
func TestCommandTooLongForAFrame(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	s := n.session(n.climb())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.clientTLS(r.credentials(api.RoleOperator, "admin.ann"))}}
	defer client.CloseIdleConnections()
	body := `{"to": {"nodes": ["` + string(n.id) + `"]}, "exec": {"argv":["echo","` + strings.Repeat("<", 60_000) + `"]}}`
	res, err := client.Post("https://"+r.addr+api.PathJobs, "application/json", strings.NewReader(body))
	must(t, err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", res.StatusCode)
	}
	s.heartbeat(1, "managed")
}
