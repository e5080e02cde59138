package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/metrics"
)

// gate takes connections from any number of listeners, does the TLS handshake
// of each, and hands on those that passed. It is the net.Listener that the
// HTTP server sees. All limits on connections are kept here.
type gate struct {
	limits Limits
	tls    *tls.Config
	faulty func(name string, c net.Conn) bool
	count  *metrics.Metrics
	log    *slog.Logger
	turns  *rate.Limiter

	passed chan net.Conn
	done   chan struct{}

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	open      map[*conn]struct{}
	half      *list.List                // of *conn, the oldest first
	waiting   int                       // for their turn
	trusted   map[netip.Prefix]struct{} // where operators came from
	bySource  map[netip.Prefix]*source
	byNode    map[string]int     // connections with a node's certificate, by its name
	hung      map[*conn]struct{} // held by the fault hang-after-accept
}

type source struct{ half, anonymous int }

// conn is one TCP connection, with what belongs to it and dies with it.
type conn struct {
	net.Conn
	gate      *gate
	source    netip.Prefix
	challenge challenge
	closing   sync.Once
	late      atomic.Bool           // it had its grace
	unwritten atomic.Pointer[error] // why a write has failed

	// Under gate.mu.
	waiting   bool          // for its turn
	half      *list.Element // while the handshake lasts
	anonymous bool
	node      string // whose certificate it came with, if a node's
}

func newGate(l Limits, t *tls.Config, faulty func(string, net.Conn) bool, m *metrics.Metrics, log *slog.Logger) *gate {
	turns := rate.NewLimiter(rate.Inf, 0)
	if l.Turns > 0 {
		turns = rate.NewLimiter(rate.Limit(l.Turns), max(1, l.Turns/4))
	}
	return &gate{
		limits: l, tls: t, faulty: faulty, count: m, log: log, turns: turns, trusted: map[netip.Prefix]struct{}{},
		passed: make(chan net.Conn), done: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, open: map[*conn]struct{}{}, half: list.New(),
		bySource: map[netip.Prefix]*source{}, byNode: map[string]int{}, hung: map[*conn]struct{}{},
	}
}

// serve takes connections from l until l is closed.
func (g *gate) serve(l net.Listener) error {
	if !g.add(l) {
		return net.ErrClosed
	}
	defer g.forget(l)
	var pause time.Duration
	for {
		raw, err := l.Accept()
		if err == nil {
			pause = 0
			g.admit(raw)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of file descriptors, or the like: wait for some to come free.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		g.log.Warn("accept failed", "listener", l.Addr(), "error", err, "pause", pause)
		select {
		case <-g.done:
			return net.ErrClosed
		case <-time.After(pause):
		}
	}
}

// admit begins the handshake of a connection, or resets it.
func (g *gate) admit(raw net.Conn) {
	c := &conn{Conn: raw, gate: g, source: sourceOf(raw.RemoteAddr())}
	if g.faulty(fault.Outage, raw) {
		g.refuse(raw, "fault")
		return
	}
	if why := g.enter(c); why != "" {
		g.refuse(raw, why)
		return
	}
	if g.faulty(fault.HangAfterAccept, raw) {
		g.hang(c)
		return
	}
	// Whose turn it is at once begins here, in the order of arrival: begun by
	// goroutines, a flood of them could all wait when an honest client comes.
	began := time.Now()
	if g.isTrusted(c.source) || g.turns.Allow() {
		if g.starts(c) {
			go g.handshake(c, began)
		}
		return
	}
	go func() {
		if g.takeTurn(c) && g.starts(c) {
			g.handshake(c, began)
		}
	}()
}

func (g *gate) refuse(c net.Conn, why string) {
	g.count.Refused(why)
	reset(c)
}

// takeTurn waits until a handshake may begin. In a storm it says no to those
// whose turn would come when they have given up already.
func (g *gate) takeTurn(c *conn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), g.limits.Turn)
	defer cancel()
	if g.turns.Wait(ctx) != nil {
		g.refuse(c, "storm")
		return false
	}
	return true
}

// starts lets a handshake begin, at the cost of the oldest one if there are too
// many.
func (g *gate) starts(c *conn) bool {
	oldest, ok := g.begin(c)
	if oldest != nil {
		g.refuse(oldest, "half_open")
	}
	return ok
}

func (g *gate) handshake(c *conn, began time.Time) {
	t := tls.Server(c, g.tls)
	ctx, cancel := context.WithTimeout(context.Background(), g.limits.Handshake)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		g.count.Handshake("failed", time.Since(began))
		g.log.Debug("handshake failed", "peer", c.RemoteAddr(), "error", err)
		_ = c.Close()
		return
	}
	g.count.Handshake("passed", time.Since(began))
	if !g.passes(c, t.ConnectionState().PeerCertificates) {
		g.refuse(c, "node")
		return
	}
	select {
	case g.passed <- t:
	case <-g.done:
		_ = t.Close()
	}
}

func (g *gate) hang(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle(c)
	g.hung[c] = struct{}{}
}

// releaseHung closes what the fault hang-after-accept held.
func (g *gate) releaseHung() {
	g.mu.Lock()
	var held []*conn
	for c := range g.hung {
		held = append(held, c)
	}
	g.mu.Unlock()
	for _, c := range held {
		_ = c.Close()
	}
}

func (g *gate) add(l net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.listeners[l] = struct{}{}
	}
	return !g.closed
}

func (g *gate) forget(l net.Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, l)
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.passed:
		return c, nil
	case <-g.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener: no more connections come in.
func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	close(g.done)
	for l := range g.listeners {
		_ = l.Close()
	}
	return nil
}

// closeAll ends every connection that is still open, sessions too.
func (g *gate) closeAll() {
	g.mu.Lock()
	all := make([]*conn, 0, len(g.open))
	for c := range g.open {
		all = append(all, c)
	}
	g.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

// Addr implements net.Listener.
func (g *gate) Addr() net.Addr { return &net.TCPAddr{} }

// Close closes the connection and counts it out.
func (c *conn) Close() error {
	c.closing.Do(func() { c.gate.leave(c) })
	return c.Conn.Close()
}

// reset closes a connection so that the peer sees a reset and not an end.
func reset(c net.Conn) {
	raw := c
	if own, ok := c.(*conn); ok {
		raw = own.Conn
	}
	if t, ok := raw.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
