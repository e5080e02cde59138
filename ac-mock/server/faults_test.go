package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
)

func (r *rig) arm(f api.Fault) {
	r.Helper()
	_, err := r.faults.Arm(f, time.Now())
	must(r, err)
}

func (r *rig) clear() {
	r.Helper()
	_, err := r.faults.Clear("", time.Now())
	must(r, err)
}

func TestFaultsAreVisible(t *testing.T) {
	r := newRig(t, nil)
	op := r.operator("admin.a")
	armed, err := op.Arm(t.Context(), api.Fault{Name: fault.ClockSkew, ForMS: 60000})
	must(t, err)
	if armed.Since.IsZero() {
		t.Errorf("armed: %+v", armed)
	}
	n := newNode(r, 1)
	h, err := n.hello()
	must(t, err)
	if len(h.Faults) != 1 || h.Faults[0] != fault.ClockSkew || time.Until(h.Time) < fault.Skew-time.Hour {
		t.Errorf("hello under clock-skew: %+v", h)
	}
	left, err := op.Clear(t.Context(), fault.ClockSkew)
	if err != nil || len(left) != 0 {
		t.Errorf("clear: %v, %v", left, err)
	}
	if _, err := op.Arm(t.Context(), api.Fault{Name: "nonsense"}); err == nil || !strings.Contains(err.Error(), "outage") {
		t.Errorf("an unknown fault: %v", err)
	}
	if _, err := op.Arm(t.Context(), api.Fault{Name: fault.Slow, Nodes: []api.NodeID{"nobody"}}); err == nil {
		t.Error("a fault towards an unknown node is armed")
	}
}

func TestFaultsAreOffWithoutTheFlag(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Faults = fault.NewSet(false) })
	if _, err := r.operator("admin.a").Arm(t.Context(), api.Fault{Name: fault.Outage}); err == nil || !strings.Contains(err.Error(), "--faults") {
		t.Errorf("armed without --faults: %v", err)
	}
	r.alive()
}

func TestFaultOutage(t *testing.T) {
	var ahead atomic.Int64
	r := newRig(t, func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	n := newNode(r, 1)
	own := n.climb()
	s := n.session(own)
	op := r.operator("admin.a")
	_, err := op.Arm(t.Context(), api.Fault{Name: fault.Outage, ForMS: 20 * 60_000})
	must(t, err)
	for {
		if _, err := s.read(); err != nil {
			break // sessions are cut
		}
	}
	c, err := net.Dial("tcp", r.addr)
	if err == nil {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection ends with %v, want a reset", err)
	}
	if _, err := n.hello(); err == nil {
		t.Error("an old connection still works")
	}
	ahead.Store(int64(20 * time.Minute))
	eventually(t, "the outage is over by itself", func() bool { n.connect(); _, err := n.hello(); return err == nil })
}

func TestFaultOutageTowardsOneNode(t *testing.T) {
	r := newRig(t, nil)
	a, b := newNode(r, 1), newNode(r, 2)
	ownA, ownB := a.climb(), b.climb()
	r.arm(api.Fault{Name: fault.Outage, Nodes: []api.NodeID{a.id}})
	if _, _, err := a.dial(ownA); err == nil {
		t.Error("the node that is meant gets a session")
	}
	b.session(ownB).heartbeat(1, "managed")
	signed := a.sign(api.PurposeUnlock, a.nonce(), a.claim())
	req, err := http.NewRequest("POST", a.url(api.PathUnlock), jsonBody(t, signed))
	must(t, err)
	if res, err := a.http.Do(req); err == nil {
		t.Errorf("its unlock is answered with %s", res.Status)
	}
}

// The AC's own machine is spared by an outage, so that it can be ended.
func TestOutageSparesTheOwnMachine(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Spare = OwnMachine })
	op := r.operator("admin.a")
	_, err := op.Arm(t.Context(), api.Fault{Name: fault.Outage})
	must(t, err)
	op.Close()
	if _, err := op.Clear(t.Context(), ""); err != nil {
		t.Errorf("an outage cannot be ended from the AC's own machine: %v", err)
	}
}

func TestFaultHangAfterAccept(t *testing.T) {
	r := newRig(t, nil)
	r.arm(api.Fault{Name: fault.HangAfterAccept})
	c := r.raw()
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = c.Write([]byte("\x16\x03\x01"))
	_, err := c.Read(make([]byte, 1))
	if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
		t.Errorf("something is said: %v", err)
	}
	r.clear()
	ends(t, "a hung connection after the fault", c)
	r.alive()
}

func TestFaultCertificates(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		name string
		want func(error) bool
	}{
		{fault.ExpiredCert, func(err error) bool { return errors.Is(err, api.ErrTime) }},
		{fault.WrongCA, func(err error) bool { return errors.Is(err, api.ErrNotAC) && !errors.Is(err, api.ErrTime) }},
	} {
		r.arm(api.Fault{Name: c.name})
		n := newNode(r, 1)
		if _, err := n.hello(); !c.want(err) {
			t.Errorf("%s: a node sees %v", c.name, err)
		}
		r.clear()
		n.connect()
		if _, err := n.hello(); err != nil {
			t.Errorf("after %s: %v", c.name, err)
		}
	}
}

func TestFaultReplies(t *testing.T) {
	r := newRig(t, nil)
	a, b := newNode(r, 1), newNode(r, 2)
	a.climb()
	b.climb()
	r.arm(api.Fault{Name: fault.RefuseUnlock, Nodes: []api.NodeID{a.id}})
	if s := a.post(api.PathUnlock, a.sign(api.PurposeUnlock, a.nonce(), a.claim()), nil); s != http.StatusForbidden {
		t.Errorf("refuse-unlock: %d", s)
	}
	if s := b.post(api.PathUnlock, b.sign(api.PurposeUnlock, b.nonce(), b.claim()), nil); s != http.StatusOK {
		t.Errorf("refuse-unlock towards another node: %d", s)
	}
	r.clear()
	r.arm(api.Fault{Name: fault.CorruptReply})
	if h, err := a.hello(); err == nil && h.Grid == grid && h.AC == "ac1" {
		t.Errorf("corrupt-reply: %+v is whole", h)
	}
	r.clear()
	r.arm(api.Fault{Name: fault.GarbageReply})
	if _, err := a.hello(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("garbage-reply: %v", err)
	}
	r.clear()
	r.arm(api.Fault{Name: fault.Slow})
	before := time.Now()
	if _, err := b.hello(); err != nil || time.Since(before) < fault.SlowDelay {
		t.Errorf("slow: answered after %v, %v", time.Since(before), err)
	}
}

func TestFaultSessions(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	own := n.climb()
	op := r.operator("admin.a")
	cut := func(what string, s *nodeSession) {
		t.Helper()
		for {
			if _, err := s.read(); err != nil {
				return
			}
		}
	}
	s := n.session(own)
	_, err := op.Arm(t.Context(), api.Fault{Name: fault.LoseSession, Nodes: []api.NodeID{api.NodeID(n.mac)}})
	must(t, err)
	cut("the session that was", s)
	cut("a new one", n.session(own))
	_, err = op.Clear(t.Context(), fault.LoseSession)
	must(t, err)
	s = n.session(own)
	s.heartbeat(1, "managed")
	_, err = op.Arm(t.Context(), api.Fault{Name: fault.Revoke})
	must(t, err)
	if !r.book.did("revoke " + string(n.id)) {
		t.Error("revoke: the book was not told")
	}
	cut("the session of a revoked certificate", s)
}

func jsonBody(t *testing.T, v any) io.Reader {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return bytes.NewReader(text)
}
