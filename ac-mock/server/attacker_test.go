package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// wiretap passes connections on to an AC and keeps what clients said, a
// recording each.
type wiretap struct {
	mu   sync.Mutex
	said []*recording
}

type recording struct {
	mu    sync.Mutex
	bytes []byte
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes = append(r.bytes, p...)
	return len(p), nil
}

func (r *recording) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte{}, r.bytes...)
}

// tap listens in between, and returns where.
func (w *wiretap) tap(t *testing.T, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				return
			}
			rec := &recording{}
			w.mu.Lock()
			w.said = append(w.said, rec)
			w.mu.Unlock()
			go func() { _, _ = io.Copy(io.MultiWriter(rec, out), in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	return l.Addr().String()
}

// granted counts what the AC has granted so far.
func granted(t *testing.T, op *client.Client) (n int) {
	t.Helper()
	list, err := op.Audit(t.Context(), "", 0, 0)
	must(t, err)
	for _, e := range list {
		if e.Decision == "granted" {
			n++
		}
	}
	return n
}

// Who has recorded everything that a node ever said, and says it again, gets
// nothing, and disturbs nobody.
func TestRecordedSessionSaidAgain(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	op := r.operator("admin.ann")
	ac, tap := r.addr, wiretap{}
	r.addr = tap.tap(t, ac)
	n := newNode(r, 1)
	s := n.session(n.climb())
	s.heartbeat(1, "managed")
	before := granted(t, op)
	if len(tap.said) != 2 || before < 3 {
		t.Fatalf("%d connections were recorded, %d requests granted", len(tap.said), before)
	}
	for _, rec := range tap.said {
		for _, slowly := range []bool{false, true} {
			c, err := net.Dial("tcp", ac)
			must(t, err)
			said := rec.all()
			if slowly { // the AC answers its hello first, as it did then
				_, err = c.Write(said[:len(said)/2])
				must(t, err)
				_, _ = c.Read(make([]byte, 1))
				said = said[len(said)/2:]
			}
			_, _ = c.Write(said)
			ends(t, "a recording", c)
		}
	}
	if after := granted(t, op); after != before {
		t.Errorf("%d requests were granted, %d before", after, before)
	}
	s.heartbeat(2, "managed")
}

// Who has stolen a node's client certificate with its key, but not the device
// key, gets neither shares nor a certificate; when both use it both are shut
// out; and once an operator has approved the node again, the thief's opens nothing.
func TestStolenClientCertificate(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	op := r.operator("admin.ann")
	n := newNode(r, 1)
	own := n.climb()
	thief := newNode(r, 1)
	thief.public, thief.private, _ = ed25519.GenerateKey(rand.Reader)
	thief.connect(own)
	claim := thief.claim()
	claim.Counter = 1 << 40
	for what, status := range map[string]int{
		"unlock":      thief.post(api.PathUnlock, thief.sign(api.PurposeUnlock, thief.nonce(), claim), nil),
		"confirm":     thief.post(api.PathConfirm, thief.sign(api.PurposeConfirm, thief.nonce(), api.Confirm{NodeID: n.id, Generation: 1}), nil),
		"certificate": thief.post(api.PathCertificate, thief.sign(api.PurposeCertificate, thief.nonce(), api.CSR{NodeID: n.id, BootID: claim.BootID, Counter: 1 << 40}), nil),
	} {
		if status != http.StatusForbidden {
			t.Errorf("%s with a stolen certificate: %d", what, status)
		}
	}
	if res, err := thief.http.Get(thief.url(api.PathNodes)); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("as an operator: %v, %v", res, err)
	}

	for range 4 { // each comes again when the other has pushed it out
		conn, _, err := n.dial(own)
		must(t, err)
		go func() { // both live: they read until they are told
			for err == nil {
				_, _, err = conn.Read(t.Context())
			}
		}()
	}
	eventually(t, "two with one certificate are noticed", func() bool {
		seen, err := op.Node(t.Context(), n.mac)
		must(t, err)
		return seen.State == api.NodePending
	})
	_, err := op.Approve(t.Context(), n.mac)
	must(t, err)
	if _, res, err := thief.dial(own); err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("the stolen certificate opens a session: %v %v", res, err)
	}
	n.connect()
	s := n.session(n.climb())
	s.heartbeat(1, "managed")
	if _, _, err := thief.dial(own); err == nil {
		t.Error("the stolen certificate opens a session again")
	}
	s.heartbeat(2, "managed")
}
