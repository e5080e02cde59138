package sim

import (
	"net/netip"

	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/sim/ether"
)

// takings notes the addresses that a node has put on its NICs since it was
// looked at last, and that somebody else on the segment has who would have
// answered a probe.
func (w *World) takings(k *member) {
	for _, x := range k.Host.NICs {
		had := k.had[x.Name]
		k.had[x.Name] = append([]netip.Prefix(nil), x.Addresses()...)
		for _, a := range x.Addresses() {
			y := other(x, a.Addr())
			if y == nil || contains(had, a.Addr()) {
				continue
			}
			w.seen.facts.Takings = append(w.seen.facts.Takings, grid.Taking{
				At: w.e.Now(), Node: k.Name(), Segment: x.Segment().Name, Address: a.Addr(), From: y.Host.Name,
			})
		}
	}
}

func contains(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// other is who else has an address of a NIC and can be heard; nil: nobody. A
// machine with the same MAC cannot be told from this one.
func other(x *ether.NIC, a netip.Addr) *ether.NIC {
	if !x.Carrier() {
		return nil
	}
	for _, y := range x.Segment().Holders(a) {
		if y.Host != x.Host && y.MAC != x.MAC && y.Carrier() {
			return y
		}
	}
	return nil
}

// disputes lists the addresses that managed nodes and hosts that are no nodes
// both have.
func (w *World) disputes() []grid.Dispute {
	var out []grid.Dispute
	for _, n := range w.nodes {
		if !n.Managed() {
			continue
		}
		for _, x := range n.Host.NICs {
			for _, a := range x.Addresses() {
				if y := other(x, a.Addr()); y != nil && w.byName[y.Host.Name] == nil {
					out = append(out, grid.Dispute{Node: n.Name(), Segment: x.Segment().Name, Address: a.Addr(), With: y.Host.Name})
				}
			}
		}
	}
	return out
}
