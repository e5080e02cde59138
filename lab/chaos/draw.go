package chaos

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/topology"
)

// fault draws one of a kind, or says why the grid cannot have it.
func (d *drawer) fault(k fault.Kind, r *rand.Rand) (f fault.Fault, why string) {
	f = fault.Fault{Kind: k.Name}
	switch k.Class {
	case fault.Link:
		why = d.link(&f, r)
	case fault.Node:
		why = d.node(&f, r)
	case fault.Segment:
		why = d.segment(&f, r)
	case fault.AC:
		d.ac(&f, k, r)
	}
	if why == "" {
		amounts(&f, k, r)
	}
	return f, why
}

// link draws between whom: a node and its AC, another node of its segment, or
// everybody; one way, the other, or both.
func (d *drawer) link(f *fault.Fault, r *rand.Rand) string {
	if len(d.grid.Nodes) == 0 {
		return "the grid has no node"
	}
	node := oneOf(d.grid.Nodes, r)
	var peers []string
	for _, m := range d.grid.ACs {
		if len(fault.Shared(d.grid, node.Name, m.Name)) > 0 {
			peers = append(peers, m.Name, m.Name) // what matters most
		}
	}
	if m := oneOf(d.grid.Nodes, r); m.Name != node.Name && len(fault.Shared(d.grid, node.Name, m.Name)) > 0 {
		peers = append(peers, m.Name)
	}
	f.From, f.To = node.Name, oneOf(append(peers, ""), r)
	switch r.IntN(3) {
	case 0:
		f.Both = true
	case 1:
		f.From, f.To = f.To, f.From
	}
	return ""
}

func (d *drawer) node(f *fault.Fault, r *rand.Rand) string {
	if len(d.grid.Nodes) == 0 {
		return "the grid has no node"
	}
	node := oneOf(d.grid.Nodes, r)
	f.On = node.Name
	switch f.Kind {
	case fault.Cable:
		f.NIC = oneOf(node.Ports, r).NIC
	case fault.Move:
		var others []string
		for _, s := range d.grid.Segments {
			if s.Name != node.Ports[0].Segment {
				others = append(others, s.Name)
			}
		}
		if len(others) == 0 {
			return "the grid has one segment"
		}
		f.To = oneOf(others, r)
	case fault.Impostor:
		if len(d.grid.Nodes) == 1 {
			return "the grid has one node"
		}
		for f.To = f.On; f.To == f.On; {
			f.To = oneOf(d.grid.Nodes, r).Name
		}
	}
	return ""
}

func isDHCP(kind string) bool { return strings.HasPrefix(kind, "dhcp-") }

// segment draws one with nodes on it, and the address where the kind needs one.
func (d *drawer) segment(f *fault.Fault, r *rand.Rand) string {
	var fit []topology.Segment
	for _, s := range d.grid.Segments {
		if (s.DHCP != nil || !isDHCP(f.Kind)) && d.populated(s.Name) {
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		return "no segment with nodes has a DHCP server"
	}
	s := oneOf(fit, r)
	f.On = s.Name
	switch f.Kind {
	case fault.DHCPInUse:
		f.Address = within(s.DHCP.First, s.DHCP.Last, r)
	case fault.Squatter:
		f.Address = d.taken(s, r)
	}
	return ""
}

func (d *drawer) populated(segment string) bool {
	return slices.ContainsFunc(d.grid.Nodes, func(m topology.Machine) bool {
		return slices.ContainsFunc(m.Ports, func(q topology.Port) bool { return q.Segment == segment })
	})
}

// taken draws an address that a node of the segment has or may come to have.
func (d *drawer) taken(s topology.Segment, r *rand.Rand) netip.Addr {
	var all []netip.Addr
	for _, m := range d.grid.Nodes {
		for _, q := range m.Ports {
			if q.Segment == s.Name && q.Address.IsValid() {
				all = append(all, q.Address.Addr())
			}
		}
	}
	fallback := netip.AddrFrom4([4]byte{10, 254, 254, byte(1 + r.IntN(253))})
	if s.DHCP != nil {
		all = append(all, within(s.DHCP.First, s.DHCP.Last, r))
	}
	return oneOf(append(all, fallback), r)
}

// nearby is how many addresses from the first of a pool are drawn from: those
// that clients get.
const nearby = 32

func within(first, last netip.Addr, r *rand.Rand) netip.Addr {
	a := first
	for range r.IntN(nearby) {
		if next := a.Next(); !last.Less(next) {
			a = next
		}
	}
	return a
}

// ac draws which, and towards which nodes where the kind can tell them apart.
func (d *drawer) ac(f *fault.Fault, k fault.Kind, r *rand.Rand) {
	if len(d.grid.ACs) > 1 && r.IntN(3) > 0 && slices.Contains(k.Takes, "on") {
		f.On = oneOf(d.grid.ACs, r).Name
	}
	if !slices.Contains(k.Takes, "nodes") || len(d.grid.Nodes) == 0 || r.IntN(3) > 0 {
		return
	}
	for _, i := range r.Perm(len(d.grid.Nodes))[:1+r.IntN(min(len(d.grid.Nodes), 4))] {
		f.Nodes = append(f.Nodes, d.grid.Nodes[i].Name)
	}
	slices.Sort(f.Nodes)
}

// How far clocks are off: by a time zone, beyond a certificate's life, by a flat
// battery.
var skews = []time.Duration{-time.Hour, time.Hour, -48 * time.Hour, 48 * time.Hour, 10 * 24 * time.Hour, -365 * 24 * time.Hour}

// amounts draws how bad it is.
func amounts(f *fault.Fault, k fault.Kind, r *rand.Rand) {
	for _, name := range slices.Concat(k.Needs, k.Takes) {
		switch name {
		case "percent":
			f.Percent = float64(1 + r.IntN(50))
		case "delay":
			f.Delay = fault.Duration(delay(f.Kind, r))
		case "jitter":
			f.Jitter = fault.Duration(time.Duration(r.IntN(50)) * time.Millisecond)
		case "rate":
			f.Rate = oneOf([]fault.Rate{64e3, 256e3, 1e6, 8e6}, r)
		case "by":
			f.By = fault.Duration(oneOf(skews, r))
		}
	}
}

// delay of frames is up to half a second, of a DHCP server up to ten.
func delay(kind string, r *rand.Rand) time.Duration {
	if kind == fault.DHCPSlow {
		return time.Duration(1+r.IntN(10)) * time.Second
	}
	return time.Duration(10+r.IntN(490)) * time.Millisecond
}

func oneOf[T any](all []T, r *rand.Rand) T { return all[r.IntN(len(all))] }
