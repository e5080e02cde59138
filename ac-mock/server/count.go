package server

import (
	"crypto/x509"
	"net"
	"net/netip"

	"github.com/g8os/g8os/core/api"
)

// enter counts a new connection in, if there is room for it, or says why not.
func (g *gate) enter(c *conn) (why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.bySource[c.source]
	switch {
	case g.closed:
		return "closed"
	case len(g.open) >= g.limits.Connections:
		return "full"
	case s != nil && (s.half >= g.limits.HalfOpenEach || s.anonymous >= g.limits.Anonymous):
		return "source"
	case g.waiting >= g.limits.HalfOpen:
		return "storm"
	}
	g.sourceFor(c).half++
	c.waiting = true
	g.waiting++
	g.open[c] = struct{}{}
	return ""
}

// begin lets the handshake of a connection begin, unless it was cut meanwhile.
// When too many are half open, the oldest makes room: an honest client is done
// in no time.
func (g *gate) begin(c *conn) (oldest *conn, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !c.waiting {
		return nil, false
	}
	c.waiting = false
	g.waiting--
	if g.half.Len() >= g.limits.HalfOpen {
		oldest = g.half.Front().Value.(*conn)
		g.settle(oldest)
	}
	c.half = g.half.PushBack(c)
	return oldest, true
}

// maxTrusted bounds the sources of operators that are remembered.
const maxTrusted = 1024

// trust remembers where an operator came from. Under g.mu.
func (g *gate) trust(from netip.Prefix) {
	if len(g.trusted) < maxTrusted {
		g.trusted[from] = struct{}{}
	}
}

func (g *gate) isTrusted(from netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.trusted[from]
	return ok
}

// counts are the connections that are open, and those that have not proved
// anything yet.
func (g *gate) counts() (open, half int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open), g.waiting + g.half.Len()
}

// sourceFor is the count of a connection's source. Under g.mu.
func (g *gate) sourceFor(c *conn) *source {
	s := g.bySource[c.source]
	if s == nil {
		s = &source{}
		g.bySource[c.source] = s
	}
	return s
}

// settle takes a connection out of the half-open ones. Under g.mu.
func (g *gate) settle(c *conn) {
	if c.waiting {
		c.waiting = false
		g.waiting--
		g.bySource[c.source].half--
	}
	if c.half == nil {
		return
	}
	g.half.Remove(c.half)
	c.half = nil
	g.bySource[c.source].half--
}

// passes counts a connection as what its handshake has shown it to be; false
// when it is one too many, or was cut meanwhile.
func (g *gate) passes(c *conn, certs []*x509.Certificate) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, open := g.open[c]; !open || c.half == nil { // it had to make room for another
		return false
	}
	g.settle(c)
	if len(certs) == 0 {
		c.anonymous = true
		g.sourceFor(c).anonymous++
		return true
	}
	id, err := api.ParseIdentity(certs[0].URIs)
	if err == nil && id.Role == api.RoleOperator {
		g.trust(c.source)
	}
	if err != nil || id.Role != api.RoleNode {
		return true
	}
	if g.byNode[id.Name] >= g.limits.PerNode {
		return false
	}
	c.node = id.Name
	g.byNode[c.node]++
	return true
}

// leave counts a connection out.
func (g *gate) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, open := g.open[c]; !open {
		return
	}
	delete(g.open, c)
	delete(g.hung, c)
	g.settle(c)
	if c.node != "" {
		if g.byNode[c.node]--; g.byNode[c.node] == 0 {
			delete(g.byNode, c.node)
		}
	}
	s := g.bySource[c.source]
	if s == nil { // nothing of this source counted any more
		return
	}
	if c.anonymous {
		s.anonymous--
	}
	if s.half == 0 && s.anonymous == 0 {
		delete(g.bySource, c.source)
	}
}

// sourceOf is what limits for one source go by.
func sourceOf(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
