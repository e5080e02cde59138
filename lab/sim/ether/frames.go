package ether

import (
	"net/netip"
	"slices"

	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
)

// Sizes of frames in bytes.
const (
	arpSize  = 60
	dhcpSize = 342
)

// whole is for frames that nobody sends again.
func whole(arrive func()) func(bool) {
	return func(ok bool) {
		if ok {
			arrive()
		}
	}
}

// SendARP shouts a packet on the segment. Only those are told whom it is of
// interest to: who has the address that it asks for, and who watches for one
// that it is about.
func (x *NIC) SendARP(p conflict.Packet) {
	s := x.segment
	hears := func(y *NIC) {
		if y != x {
			s.net.send(x, y, arpSize, whole(func() { y.arp(x, p) }))
		}
	}
	told := append(make([]*NIC, 0, 8), s.holders[p.TargetIP]...)
	for _, list := range [][]*NIC{s.watchers[p.TargetIP], s.watchers[p.SenderIP], s.wide} {
		for _, y := range list {
			if !slices.Contains(told, y) {
				told = append(told, y)
			}
		}
	}
	for _, y := range told {
		hears(y)
	}
}

// arp is what a kernel does with a packet: it answers for its addresses
// (RFC 826), and shows it to whoever watches. An announcement gets no answer:
// its sender has our address, and Linux takes no packet with that as its source.
func (x *NIC) arp(from *NIC, p conflict.Packet) {
	if p.Op == conflict.Request && x.Has(p.TargetIP) && p.SenderIP != p.TargetIP {
		reply := conflict.Packet{Op: conflict.Reply, SenderMAC: x.MAC, SenderIP: p.TargetIP, TargetMAC: p.SenderMAC, TargetIP: p.SenderIP}
		x.segment.net.send(x, from, arpSize, whole(func() { from.show(reply) }))
	}
	x.show(p)
}

func (x *NIC) show(p conflict.Packet) {
	about := func(q netip.Prefix) bool { return q.Contains(p.SenderIP) || q.Contains(p.TargetIP) }
	if x.HeardARP != nil && slices.ContainsFunc(x.watched, about) {
		x.HeardARP(p)
	}
}

// SendDHCP sends a client's message to the servers of the segment: to all, or
// to the one at an address.
func (x *NIC) SendDHCP(m lease.Message, to netip.Addr) {
	for _, y := range slices.Clone(x.segment.servers) {
		if to.IsValid() && !y.Has(to) || y == x {
			continue
		}
		x.segment.net.send(x, y, dhcpSize, whole(func() {
			if y.ServeDHCP != nil {
				y.ServeDHCP(m)
			}
		}))
	}
}

// AnswerDHCP sends a server's message to the client it is for.
func (x *NIC) AnswerDHCP(m lease.Message) {
	for _, y := range x.segment.nics {
		if y.MAC != m.MAC || y == x {
			continue
		}
		x.segment.net.send(x, y, dhcpSize, whole(func() {
			if y.dhcp && y.HeardDHCP != nil {
				y.HeardDHCP(m)
			}
		}))
	}
}
