package links

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
)

// Protocol marks our routes in the kernel (rtm_protocol; see ip route show
// proto 108). Numbers above 4 are free for routing programs.
const Protocol = 108

// defaultMetric6 is what the kernel makes of metric 0 for IPv6.
const defaultMetric6 = 1024

// change is what has to happen to one sort of things on one interface.
type change[T comparable] struct {
	add    []T
	remove []T
	keep   []T // ours afterwards, once add has happened
}

// diff compares what is ours, what is there and what is wanted. What is there
// without being ours stays somebody else's, also when it is wanted.
func diff[T comparable](ours, there, wanted []T) change[T] {
	var c change[T]
	for _, w := range wanted {
		if slices.Contains(c.keep, w) {
			continue
		}
		exists := slices.Contains(there, w)
		if !exists {
			c.add = append(c.add, w)
		}
		if !exists || slices.Contains(ours, w) {
			c.keep = append(c.keep, w)
		}
	}
	for _, o := range ours {
		if !slices.Contains(wanted, o) && slices.Contains(there, o) {
			c.remove = append(c.remove, o)
		}
	}
	return c
}

// union is a, and what of b is not in it.
func union[T comparable](a, b []T) []T {
	all := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	return all
}

// plain brings the routes of a wish into the form in which the kernel lists them.
func plain(routes []network.Route) []network.Route {
	list := make([]network.Route, 0, len(routes))
	for _, r := range routes {
		r.To = r.To.Masked()
		if r.To.Addr().Is6() && r.Metric == 0 {
			r.Metric = defaultMetric6
		}
		list = append(list, r)
	}
	return list
}

// prefixOf reads an address of the kernel.
func prefixOf(a netlink.Addr) (netip.Prefix, bool) {
	if a.IPNet == nil {
		return netip.Prefix{}, false
	}
	return fromNet(a.IPNet)
}

func fromNet(n *net.IPNet) (netip.Prefix, bool) {
	ip, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), bits), ok
}

func toNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// routeOf reads a route of the kernel: one way, to hosts, in the main table.
func routeOf(r netlink.Route) (network.Route, bool) {
	if r.Table != unix.RT_TABLE_MAIN || r.Type != unix.RTN_UNICAST || len(r.MultiPath) > 0 || r.Via != nil {
		return network.Route{}, false
	}
	out := network.Route{Metric: r.Priority, To: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
	if r.Family == netlink.FAMILY_V6 {
		out.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if r.Dst != nil {
		to, ok := fromNet(r.Dst)
		if !ok {
			return out, false
		}
		out.To = to
	}
	if via, ok := netip.AddrFromSlice(r.Gw); ok {
		out.Via = via.Unmap()
	}
	return out, true
}

// toRoute makes a route for the kernel. A gateway outside every prefix (a
// lease of a single address) is a neighbour all the same.
func toRoute(r network.Route, index int, addresses []netip.Prefix) *netlink.Route {
	k := &netlink.Route{LinkIndex: index, Dst: toNet(r.To), Priority: r.Metric, Protocol: Protocol, Table: unix.RT_TABLE_MAIN}
	if !r.Via.IsValid() {
		if r.To.Addr().Is4() {
			k.Scope = netlink.SCOPE_LINK
		}
		return k
	}
	k.Gw = r.Via.AsSlice()
	near := slices.ContainsFunc(addresses, func(p netip.Prefix) bool { return p.Contains(r.Via) })
	if !near && !r.Via.IsLinkLocalUnicast() {
		k.Flags = int(netlink.FLAG_ONLINK)
	}
	return k
}
