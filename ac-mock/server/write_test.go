package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// An AC that was stopped before a write finds that its time is over. The client
// hears it all the same.
func TestWriteWhoseTimeIsOver(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = DefaultLimits; o.Limits.Write = -time.Millisecond })
	c := r.operator("admin")
	seen := errors.New("seen")
	if err := c.WatchNodes(t.Context(), func([]api.Node) error { return seen }); !errors.Is(err, seen) {
		t.Errorf("a stream: %v", err)
	}
}

// Who does not read is let go, and finds the connection lost, not forged: nothing
// comes after what he did not get.
func TestNothingIsWrittenAfterWhatWasNot(t *testing.T) {
	ac, peer := late(t)
	var err error
	for err == nil {
		_, err = ac.Write(make([]byte, 1<<20))
	}
	_ = peer.SetReadDeadline(time.Now().Add(time.Minute))
	go func() { _ = ac.Close() }()
	_, err = io.Copy(io.Discard, peer)
	if err == nil || strings.Contains(err.Error(), "MAC") {
		t.Errorf("the peer: %v, want that the connection was lost", err)
	}
}

// Who reads, but slowly, has no more than that moment.
func TestGraceIsOne(t *testing.T) {
	ac, peer := late(t)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for buf := make([]byte, 4<<10); ; time.Sleep(time.Millisecond) {
			if _, err := peer.Read(buf); err != nil {
				return
			}
		}
	}()
	began := time.Now()
	var err error
	for err == nil && time.Since(began) < 30*time.Second {
		_, err = ac.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	_ = ac.Close()
	<-read
}

// late is a connection to an AC whose time for writing is over, from both sides.
func late(t *testing.T) (ac, peer *tls.Conn) {
	t.Helper()
	r := newRig(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	accepted, err := l.Accept()
	must(t, err)
	g := r.srv.gate
	ac = tls.Server(&conn{Conn: accepted, gate: g, source: sourceOf(accepted.RemoteAddr())}, g.tls)
	peer = tls.Client(raw, r.clientTLS(r.credentials(api.RoleOperator, "admin")))
	t.Cleanup(func() { _ = raw.Close() })
	shaken := make(chan error, 1)
	go func() { shaken <- ac.Handshake() }()
	must(t, peer.Handshake())
	must(t, <-shaken)
	must(t, ac.SetWriteDeadline(time.Now().Add(-time.Second)))
	return ac, peer
}
