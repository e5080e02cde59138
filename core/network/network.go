// Package network holds the plain data that the parts of the node's first
// phase share: what an interface is, and what is wanted on it.
//
// It promises to be data and pure functions only. The parts are its folders,
// in the order in which a round uses them: nettoml reads what the operator
// asked for, links puts it on interfaces, lease speaks DHCP, conflict takes an
// address nobody else has, wire carries the packets of both.
package network

import (
	"net/netip"
	"slices"
)

// Link is one network interface as the kernel has it now.
type Link struct {
	Name      string
	Index     int
	MAC       string // canonical; the permanent one where the driver tells it
	MTU       int    // bytes
	Kind      string // "device" for hardware, else the kernel's kind: veth, bridge, vlan, …
	Up        bool   // administratively
	Carrier   bool   // a cable is in, and something is at its other end
	Card      bool   // hardware, or what stands for it (veth and tap in a lab): its MAC is one of the node's
	Physical  bool   // may be tried in a round: a card that is no port of something
	Addresses []netip.Prefix
}

// Route is one route through an interface.
type Route struct {
	To     netip.Prefix // 0.0.0.0/0 or ::/0 for a default route
	Via    netip.Addr   // zero: on the link
	Metric int          // lower wins
}

// Wanted is what we want to be on one interface: no more than what some layer
// of ours (configured, dhcp, fallback) asked for. Whatever else is on the
// interface belongs to somebody else and is left alone.
type Wanted struct {
	Up        bool
	MTU       int // bytes; 0: leave as it is
	Addresses []netip.Prefix
	Routes    []Route
	DNS       []netip.Addr
}

// Equal says whether two wishes are the same, in content and order.
func (w Wanted) Equal(o Wanted) bool {
	return w.Up == o.Up && w.MTU == o.MTU && slices.Equal(w.Addresses, o.Addresses) &&
		slices.Equal(w.Routes, o.Routes) && slices.Equal(w.DNS, o.DNS)
}

// Merge lays layers over one another: addresses, routes and DNS servers add
// up without doubles, earlier layers first; the first MTU that is set counts.
func Merge(layers ...Wanted) Wanted {
	var w Wanted
	for _, l := range layers {
		w.Up = w.Up || l.Up
		if w.MTU == 0 {
			w.MTU = l.MTU
		}
		w.Addresses = addNew(w.Addresses, l.Addresses)
		w.Routes = addNew(w.Routes, l.Routes)
		w.DNS = addNew(w.DNS, l.DNS)
	}
	return w
}

func addNew[T comparable](have, more []T) []T {
	for _, x := range more {
		if !slices.Contains(have, x) {
			have = append(have, x)
		}
	}
	return have
}
