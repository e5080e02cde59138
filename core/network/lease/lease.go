package lease

import (
	"net/netip"
	"slices"
	"time"

	"github.com/g8os/g8os/core/network"
)

// Lease is an address for a while, and what came with it.
type Lease struct {
	Address  netip.Prefix
	Server   netip.Addr
	Routers  []netip.Addr    // in order of preference
	Routes   []network.Route // RFC 3442; when there are any, Routers do not count
	DNS      []netip.Addr
	MTU      int       // bytes; 0: not told
	Obtained time.Time // when it was asked for: from then it runs
	T1, T2   time.Time // renew with its server from, with any server from; zero: never
	Expires  time.Time // zero: never
}

// minMTU is what any IPv4 host must take in (RFC 791, 3.1); servers that hand
// out less have a typing error in their configuration.
const minMTU = 576

// leaseFrom is what an ACK that passed sensible says, asked for at that time.
func leaseFrom(m Message, asked time.Time) Lease {
	l := Lease{
		Address: netip.PrefixFrom(m.YourIP, prefixBits(m)), Server: m.ServerID,
		Routers: m.Routers, Routes: m.Routes, DNS: m.DNS, Obtained: asked,
	}
	if m.MTU >= minMTU {
		l.MTU = m.MTU
	}
	if m.Lease == Infinite {
		return l
	}
	t1, t2 := m.T1, m.T2
	if t2 <= 0 || t2 >= m.Lease { // RFC 2131, 4.4.5
		t2 = m.Lease * 7 / 8
	}
	if t1 <= 0 || t1 >= t2 {
		t1 = min(m.Lease/2, t2*4/7)
	}
	l.T1, l.T2, l.Expires = asked.Add(t1), asked.Add(t2), asked.Add(m.Lease)
	return l
}

// prefixBits is the length of the subnet mask, or that of the address's class.
func prefixBits(m Message) int {
	if m.Bits > 0 {
		return m.Bits
	}
	switch first := m.YourIP.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	}
	return 24
}

// expired tells whether the lease must not be used any more.
func (l Lease) expired(now time.Time) bool {
	return !l.Expires.IsZero() && !now.Before(l.Expires)
}

// sameTerms tells whether the leases differ in their times only.
func (l Lease) sameTerms(o Lease) bool {
	return l.Address == o.Address && l.MTU == o.MTU && slices.Equal(l.Routers, o.Routers) &&
		slices.Equal(l.Routes, o.Routes) && slices.Equal(l.DNS, o.DNS)
}

// Wanted is what the lease asks for on its interface; metric is that of its
// routes. A gateway outside of the leased prefix (a /32 lease, for example)
// gets a route on the link before the routes that lead through it.
func (l Lease) Wanted(metric int) network.Wanted {
	w := network.Wanted{Up: true, MTU: l.MTU, Addresses: []netip.Prefix{l.Address}, DNS: l.DNS}
	add := func(r network.Route) {
		if r.Metric = metric; !slices.Contains(w.Routes, r) {
			w.Routes = append(w.Routes, r)
		}
	}
	for _, r := range l.routes() {
		if r.Via == l.Address.Addr() {
			continue // ourselves: leads nowhere
		}
		if r.Via.IsValid() && (!l.Address.Contains(r.Via) || l.Address.IsSingleIP()) {
			add(network.Route{To: netip.PrefixFrom(r.Via, 32)})
		}
		add(r)
	}
	return w
}

// routes are those of RFC 3442, else the default route through the first router.
func (l Lease) routes() []network.Route {
	if len(l.Routes) > 0 || len(l.Routers) == 0 {
		return l.Routes
	}
	return []network.Route{{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: l.Routers[0]}}
}
