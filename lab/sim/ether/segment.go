package ether

import (
	"net/netip"
	"slices"

	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
)

// Segment is a layer 2 network.
type Segment struct {
	Name     string
	net      *Net
	nics     []*NIC
	holders  map[netip.Addr][]*NIC // who has an address, who took it last at the end
	watchers map[netip.Addr][]*NIC // who wants to hear of one address
	wide     []*NIC                // who wants to hear of whole prefixes
	servers  []*NIC                // who answers DHCP
}

// Segment adds a segment.
func (n *Net) Segment(name string) *Segment {
	return &Segment{Name: name, net: n, holders: map[netip.Addr][]*NIC{}, watchers: map[netip.Addr][]*NIC{}}
}

// Holders lists who has an address now, in the order in which they took it.
func (s *Segment) Holders(a netip.Addr) []*NIC { return s.holders[a] }

// NIC is a network card, or what stands for it.
type NIC struct {
	Host  *Host
	Name  string
	MAC   string // canonical
	Index int    // as the kernel counts
	Up    bool   // administratively
	Cable bool

	// HeardARP and HeardDHCP are called with what arrives and is watched for;
	// ServeDHCP with what clients send, if it is set.
	HeardARP  func(conflict.Packet)
	HeardDHCP func(lease.Message)
	ServeDHCP func(lease.Message)

	segment   *Segment
	addresses []netip.Prefix
	watched   []netip.Prefix
	dhcp      bool
}

// NIC adds a network card, plugged into a segment.
func (h *Host) NIC(name, mac string, s *Segment) *NIC {
	h.cards++
	x := &NIC{Host: h, Name: name, MAC: mac, Index: h.cards + 1, Cable: true, segment: s} // 1 is lo
	h.NICs = append(h.NICs, x)
	s.nics = append(s.nics, x)
	return x
}

// Carrier says whether frames can come and go.
func (x *NIC) Carrier() bool { return x.Up && x.Cable && x.Host.Powered }

// Segment is where it is plugged in.
func (x *NIC) Segment() *Segment { return x.segment }

// Addresses are those on it.
func (x *NIC) Addresses() []netip.Prefix { return x.addresses }

// Has says whether it has an address.
func (x *NIC) Has(a netip.Addr) bool {
	return slices.ContainsFunc(x.addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// onLink says whether an address is in the network of one that the NIC has.
// What is elsewhere would be a router's to find, and there is none.
func (x *NIC) onLink(own, other netip.Addr) bool {
	return slices.ContainsFunc(x.addresses, func(p netip.Prefix) bool { return p.Addr() == own && p.Contains(other) })
}

// SetAddresses makes exactly these its addresses.
func (x *NIC) SetAddresses(all []netip.Prefix) {
	for _, p := range x.addresses {
		if !slices.Contains(all, p) {
			remove(x.segment.holders, p.Addr(), x)
		}
	}
	for _, p := range all {
		if !slices.Contains(x.addresses, p) {
			x.segment.holders[p.Addr()] = append(x.segment.holders[p.Addr()], x)
		}
	}
	x.addresses = slices.Clone(all)
}

// Watch has HeardARP called for packets about addresses of these prefixes, and
// HeardDHCP for messages to this client if dhcp is set.
func (x *NIC) Watch(arp []netip.Prefix, dhcp bool) {
	x.unwatch()
	x.watched, x.dhcp = slices.Clone(arp), dhcp
	for _, p := range arp {
		if p.IsSingleIP() {
			x.segment.watchers[p.Addr()] = append(x.segment.watchers[p.Addr()], x)
		} else if !slices.Contains(x.segment.wide, x) {
			x.segment.wide = append(x.segment.wide, x)
		}
	}
}

func (x *NIC) unwatch() {
	for _, p := range x.watched {
		if p.IsSingleIP() {
			remove(x.segment.watchers, p.Addr(), x)
		}
	}
	x.segment.wide = slices.DeleteFunc(x.segment.wide, func(y *NIC) bool { return y == x })
	x.watched, x.dhcp = nil, false
}

// Move plugs it into another segment, as another card of the same name and MAC:
// nothing is on it, it is down, and the kernel has counted on.
func (x *NIC) Move(to *Segment) {
	x.SetAddresses(nil)
	x.unwatch()
	x.Up = false
	x.Host.cards++
	x.Index = x.Host.cards + 1
	x.segment.nics = slices.DeleteFunc(x.segment.nics, func(y *NIC) bool { return y == x })
	x.segment.servers = slices.DeleteFunc(x.segment.servers, func(y *NIC) bool { return y == x })
	x.segment = to
	to.nics = append(to.nics, x)
}

// Serve makes it a DHCP server of its segment, or ends that.
func (x *NIC) Serve(on bool) {
	x.segment.servers = slices.DeleteFunc(x.segment.servers, func(y *NIC) bool { return y == x })
	if on {
		x.segment.servers = append(x.segment.servers, x)
	}
}

func remove(m map[netip.Addr][]*NIC, a netip.Addr, x *NIC) {
	left := slices.DeleteFunc(m[a], func(y *NIC) bool { return y == x })
	if len(left) == 0 {
		delete(m, a)
		return
	}
	m[a] = left
}
