package dhcp

import (
	"net/netip"
	"time"
)

// leases is who has what: a pool, the client each address is promised to, and
// the addresses somebody has declined.
type leases struct {
	first, last netip.Addr
	holder      map[netip.Addr]lease
	declined    map[netip.Addr]bool
}

type lease struct {
	client string // hardware address
	until  time.Time
}

func newLeases(first, last netip.Addr) *leases {
	return &leases{first: first, last: last, holder: map[netip.Addr]lease{}, declined: map[netip.Addr]bool{}}
}

// pick returns the address for a client: the one it has or had, else the one
// it asks for, else the first free one. It fails when the pool is exhausted.
func (l *leases) pick(client string, asked netip.Addr, now time.Time) (netip.Addr, bool) {
	for a := l.first; !l.last.Less(a); a = a.Next() {
		if l.holder[a].client == client && !l.declined[a] {
			return a, true
		}
	}
	if asked.IsValid() && l.free(asked, client, now) {
		return asked, true
	}
	for a := l.first; !l.last.Less(a); a = a.Next() {
		if l.free(a, client, now) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// free says whether client may have a.
func (l *leases) free(a netip.Addr, client string, now time.Time) bool {
	if a.Less(l.first) || l.last.Less(a) || l.declined[a] {
		return false
	}
	h, taken := l.holder[a]
	return !taken || h.client == client || now.After(h.until)
}

func (l *leases) grant(a netip.Addr, client string, until time.Time) {
	l.holder[a] = lease{client, until}
}

func (l *leases) release(a netip.Addr, client string) {
	if l.holder[a].client == client {
		delete(l.holder, a)
	}
}

// decline takes an address out of the pool for good: somebody uses it.
func (l *leases) decline(a netip.Addr) {
	delete(l.holder, a)
	l.declined[a] = true
}
