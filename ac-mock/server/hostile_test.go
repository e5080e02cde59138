package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/metrics"
	"github.com/g8os/g8os/core/api"
)

// tight are limits that a test can run into soon, and that an honest client on
// a slow machine does not.
func tight(o *Options) {
	o.Limits = DefaultLimits
	o.Limits.Handshake, o.Limits.Header, o.Limits.Read, o.Limits.Idle = 3*time.Second, 3*time.Second, 4*time.Second, 3*time.Second
	o.Limits.HalfOpenEach, o.Limits.HalfOpen = 64, 64
}

// ends waits for the AC to end a connection.
func ends(t *testing.T, what string, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	_, err := io.Copy(io.Discard, c)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		t.Errorf("%s: the connection is still open after a minute", what)
	}
	_ = c.Close()
}

func (r *rig) raw() net.Conn {
	r.Helper()
	c, err := net.Dial("tcp", r.addr)
	must(r, err)
	return c
}

func (r *rig) secure() *tls.Conn {
	r.Helper()
	c, err := tls.Dial("tcp", r.addr, r.clientTLS())
	must(r, err)
	return c
}

// A hostile client costs the AC nothing but that connection.
func TestHostileClients(t *testing.T) {
	r := newRig(t, tight)
	hostileClients(t, r)
	eventually(t, "every connection is counted out", func() bool {
		r.srv.gate.mu.Lock()
		defer r.srv.gate.mu.Unlock()
		return len(r.srv.gate.bySource) == 0 && len(r.srv.gate.open) == 0 && r.srv.gate.half.Len() == 0
	})
	if r.book.unlocks != 0 {
		t.Errorf("%d unlock requests came through", r.book.unlocks)
	}
}

// hostileClients are there at once, so that the test waits for the slowest only.
func hostileClients(t *testing.T, r *rig) {
	t.Helper()
	open := map[string]net.Conn{}
	head := "POST " + api.PathUnlock + " HTTP/1.1\r\nHost: x\r\n"
	for _, c := range []struct {
		name string
		conn func() net.Conn
		send string
	}{
		{"garbage instead of TLS", r.raw, strings.Repeat("\x00\xff rubbish", 100)},
		{"half open", r.raw, ""},
		{"half a handshake", r.raw, "\x16\x03\x01\x02\x00\x01"},
		{"TLS and then nothing", func() net.Conn { return r.secure() }, ""},
		{"garbage instead of HTTP", func() net.Conn { return r.secure() }, "\x00\x01\x02\x03\r\n\r\n"},
		{"half a request head", func() net.Conn { return r.secure() }, "GET /node/he"},
		{"half a body", func() net.Conn { return r.secure() }, head + "Content-Length: 100\r\n\r\n{"},
		{"huge head", func() net.Conn { return r.secure() }, "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10)},
		{"huge body", func() net.Conn { return r.secure() }, head + "Content-Length: 100000000\r\n\r\n\"" + strings.Repeat("a", 300<<10)},
		{"deep JSON", func() net.Conn { return r.secure() }, head + "Content-Length: 60000\r\n\r\n" + strings.Repeat("[", 60000)},
		{"HTTP/2", func() net.Conn { return r.secure() }, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	} {
		conn := c.conn()
		go func() { _, _ = conn.Write([]byte(c.send)) }() // it may be cut while writing
		open[c.name] = conn
		r.alive()
	}
	for name, conn := range open {
		ends(t, name, conn)
		r.alive()
	}
}

// A slow client sends one byte after the other and never ends.
func TestSlowHead(t *testing.T) {
	r := newRig(t, tight)
	c := r.secure()
	go func() {
		for _, b := range []byte("GET /node/hello HTTP/1.1\r\nX: " + strings.Repeat("a", 1000)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	ends(t, "slow head", c)
	r.alive()
}

// A flood of half-open connections does not keep others out.
func TestHalfOpenFlood(t *testing.T) {
	r := newRig(t, func(o *Options) {
		tight(o)
		o.Limits.HalfOpen, o.Limits.Handshake = 8, time.Minute // they would stay
	})
	for range 40 {
		c := r.raw()
		defer c.Close()
	}
	r.alive()
	r.srv.gate.mu.Lock()
	defer r.srv.gate.mu.Unlock()
	if n := r.srv.gate.half.Len(); n > 8 {
		t.Errorf("%d connections are half open, at most 8 are allowed", n)
	}
}

func TestOneSourceIsBounded(t *testing.T) {
	r := newRig(t, func(o *Options) {
		tight(o)
		o.Limits.HalfOpenEach, o.Limits.Handshake = 4, time.Minute
	})
	var open []net.Conn
	for range 4 {
		open = append(open, r.raw())
	}
	eventually(t, "four are half open", func() bool {
		r.srv.gate.mu.Lock()
		defer r.srv.gate.mu.Unlock()
		return r.srv.gate.half.Len() == 4
	})
	if fifth, err := net.Dial("tcp", r.addr); err == nil { // else it was reset at once
		ends(t, "the fifth half-open connection of one source", fifth)
	}
	for _, c := range open {
		_ = c.Close()
	}
	eventually(t, "there is room again", func() bool {
		r.srv.gate.mu.Lock()
		defer r.srv.gate.mu.Unlock()
		return r.srv.gate.half.Len() == 0
	})
	r.alive()
}

func TestAnonymousConnectionsAreBounded(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Limits = DefaultLimits
		o.Limits.Anonymous = 3
	})
	for range 3 {
		c := r.secure()
		defer c.Close()
	}
	eventually(t, "they are counted", func() bool {
		r.srv.gate.mu.Lock()
		defer r.srv.gate.mu.Unlock()
		for _, s := range r.srv.gate.bySource {
			return s.anonymous >= 3
		}
		return false
	})
	if c, err := tls.Dial("tcp", r.addr, r.clientTLS()); err == nil {
		ends(t, "the fourth anonymous connection", c)
	}
}

// A nonce is good once, and on its own connection only.
func TestReplay(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	signed := n.sign(api.PurposeUnlock, n.nonce(), n.claim())
	if s := n.post(api.PathUnlock, signed, nil); s != http.StatusOK {
		t.Fatalf("unlock: %d", s)
	}
	if s := n.post(api.PathUnlock, signed, nil); s != http.StatusForbidden {
		t.Errorf("the same again: %d", s)
	}
	n.nonce()
	if s := n.post(api.PathUnlock, signed, nil); s != http.StatusForbidden {
		t.Errorf("the same again, after another challenge: %d", s)
	}
	other := newNode(r, 2)
	other.nonce()
	if s := other.post(api.PathUnlock, n.sign(api.PurposeUnlock, n.nonce(), n.claim()), nil); s != http.StatusForbidden {
		t.Errorf("on another connection: %d", s)
	}
	if s := n.post(api.PathConfirm, n.sign(api.PurposeUnlock, n.nonce(), n.claim()), nil); s != http.StatusForbidden {
		t.Errorf("for another purpose: %d", s)
	}
	if r.book.unlocks != 1 || len(r.book.proofs) != 4 {
		t.Errorf("%d unlocks, %d bad proofs, want 1 and 4", r.book.unlocks, len(r.book.proofs))
	}
}

var date = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// Every refusal is the same bytes on the wire, whatever the reason.
func TestRefusalsLookTheSame(t *testing.T) {
	r := newRig(t, nil)
	n := newNode(r, 1)
	_, err := n.hello()
	must(t, err)
	answer := func(path string, body any) string {
		t.Helper()
		text, err := json.Marshal(body)
		must(t, err)
		res, err := n.http.Post(n.url(path), "application/json", bytes.NewReader(text))
		must(t, err)
		defer res.Body.Close()
		var wire bytes.Buffer
		must(t, res.Write(&wire))
		return date.ReplaceAllString(wire.String(), "")
	}
	without := answer(api.PathUnlock, n.sign(api.PurposeUnlock, make([]byte, api.NonceSize), n.claim()))
	if !strings.HasPrefix(without, "HTTP/1.1 403") || !strings.Contains(without, `"retry_after_ms":2000`) {
		t.Fatalf("a refusal is %q", without)
	}
	r.book.refuse = true
	broken := n.sign(api.PurposeUnlock, n.nonce(), n.claim())
	broken.Signature[0] ^= 1
	for what, got := range map[string]string{
		"bad signature":       answer(api.PathUnlock, broken),
		"refused by the book": answer(api.PathUnlock, n.sign(api.PurposeUnlock, n.nonce(), n.claim())),
		"not a signed body":   answer(api.PathCertificate, "what?"),
		"bad request":         answer(api.PathCertificate, n.sign(api.PurposeCertificate, n.nonce(), api.CSR{NodeID: n.id, DER: []byte("x")})),
	} {
		if got != without {
			t.Errorf("%s:\n%q, others get\n%q", what, got, without)
		}
	}
}

// A session that sends what no node sends is cut; the others live.
func TestBadFramesCostTheSession(t *testing.T) {
	r := newRig(t, nil)
	n, other := newNode(r, 1), newNode(r, 2)
	own := n.climb()
	good := other.session(other.climb())
	for _, message := range []string{"rubbish", `{"type":"exec","job":"j","seq":1}`, strings.Repeat("x", api.MaxFrame+1)} {
		s := n.session(own)
		_ = s.conn.Write(t.Context(), websocket.MessageText, []byte(message)) // it may be cut while writing
		for {
			if _, err := s.read(); err != nil {
				break
			}
		}
		good.heartbeat(7, "managed")
	}
}

// A node that does not read loses its session, and nobody else waits for it.
func TestNodeThatDoesNotRead(t *testing.T) {
	r := newRig(t, nil)
	n, other := newNode(r, 1), newNode(r, 2)
	s, good := n.session(n.climb()), other.session(other.climb())
	text, err := json.Marshal(api.Frame{Type: api.FrameHeartbeat, Seq: 1})
	must(t, err)
	for { // each is answered, which is not read
		if s.conn.Write(t.Context(), websocket.MessageText, text) != nil {
			break
		}
	}
	good.heartbeat(1, "managed")
	eventually(t, "the session is gone", func() bool { return r.srv.Sessions() == 1 })
}

func TestPortTaken(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", true)
	must(t, err)
	defer l.Close()
	for _, share := range []bool{false, true} {
		if _, err := Listen(t.Context(), l.Addr().String(), share); !errors.Is(err, ErrPortTaken) {
			t.Errorf("a second listener (share %v): %v, want ErrPortTaken", share, err)
		}
	}
}

// A node that was taken over cannot use up the connections of all others.
func TestOneNodeIsBounded(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Limits = DefaultLimits
		o.Limits.PerNode = 3
	})
	own := newNode(r, 1).climb()
	count := func() int {
		r.srv.gate.mu.Lock()
		defer r.srv.gate.mu.Unlock()
		return r.srv.gate.byNode["02:00:00:00:00:01"]
	}
	var open []net.Conn
	for n := range 3 {
		c, err := tls.Dial("tcp", r.addr, r.clientTLS(own))
		must(t, err)
		open = append(open, c)
		eventually(t, "it is counted", func() bool { return count() == n+1 })
	}
	if c, err := tls.Dial("tcp", r.addr, r.clientTLS(own)); err == nil {
		ends(t, "the fourth connection of one node", c)
	}
	r.alive()
	for _, c := range open {
		_ = c.Close()
	}
	eventually(t, "they are counted out", func() bool { return count() == 0 })
}

// A connection that had to make room for another just as its handshake ended
// is neither counted nor a reason to fall over.
func TestEvictedAtTheEndOfItsHandshake(t *testing.T) {
	g := newGate(Limits{Connections: 10, Anonymous: 10, PerNode: 10, HalfOpen: 1, HalfOpenEach: 10}, nil,
		func(string, net.Conn) bool { return false }, metrics.New(grid, "ac1", "test"), slog.New(slog.DiscardHandler))
	conns := make([]*conn, 3)
	for i := range conns {
		a, b := net.Pipe()
		defer b.Close()
		conns[i] = &conn{Conn: a, gate: g, source: netip.MustParsePrefix("192.0.2.1/32")}
	}
	other := netip.MustParsePrefix("192.0.2.2/32")
	conns[2].source = other
	enter := func(c *conn) *conn {
		why := g.enter(c)
		oldest, ok := g.begin(c)
		if why != "" || !ok {
			t.Fatalf("a connection is not let in: %q", why)
		}
		return oldest
	}
	enter(conns[0])
	g.passes(conns[0], []*x509.Certificate{{}}) // done, and not counted for its source
	enter(conns[1])
	if enter(conns[2]) != conns[1] {
		t.Fatal("the oldest half-open connection does not make room")
	}
	_ = conns[0].Close() // forgets the source
	if g.passes(conns[1], nil) {
		t.Error("a connection that was evicted passes")
	}
	_ = conns[1].Close()
	_ = conns[2].Close()
	if len(g.open) != 0 || len(g.bySource) != 0 || g.half.Len() != 0 {
		t.Errorf("%d connections, %d sources, %d half open are left", len(g.open), len(g.bySource), g.half.Len())
	}
}
