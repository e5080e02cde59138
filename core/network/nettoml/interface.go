package nettoml

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/g8os/g8os/core/network"
)

// firstMetric is the metric of the routes of the first interface of a file,
// above those that are usually made by hand.
const firstMetric = 100

// The keys that every kind has.
var commonKeys = []string{"kind", "method", "address", "gateway", "routes", "dns", "mtu", "metric"}

// The bounds of an MTU: RFC 791 and RFC 8200 below, the kernel above.
const (
	minMTU, minMTU6, maxMTU = 68, 1280, 65535
)

func interfaces(v value, s *sink) []Interface {
	if v.kind != isTable {
		s.add(v.line, "interface", fmt.Sprintf("is %s", v.kind), "sections [interface.NAME]")
		return nil
	}
	var list []Interface
	for i, e := range v.table.entries {
		sec := section{table: e.value.table, path: dotted("interface", e.name), sink: s}
		if e.value.kind != isTable {
			s.add(e.line, sec.path, fmt.Sprintf("is %s", e.value.kind), "a section [interface.NAME]")
			continue
		}
		if wrong := wrongName(e.name); wrong != "" {
			s.add(e.line, sec.path, fmt.Sprintf("%q %s", e.name, wrong), "the name of an interface")
			continue
		}
		if itf, ok := sec.read(e.name, firstMetric+i); ok {
			list = append(list, itf)
		}
	}
	return list
}

// read makes an Interface of a section. It is false when what its kind needs
// is missing, so that there is nothing that could be made.
func (s section) read(name string, metric int) (Interface, bool) {
	i := Interface{Name: name, Line: s.table.line}
	i.Kind = Kind(s.word("kind", string(Physical), kindWords...))
	s.checkKeys(i.Kind)
	i.Addresses = s.addresses()
	i.Method = s.method(len(i.Addresses) > 0)
	i.MTU = s.number("mtu", 0, minMTU, maxMTU)
	i.Metric = s.number("metric", metric, 0, math.MaxInt32)
	i.DNS = s.servers()
	i.Gateways = s.gateways(i.Addresses)
	i.Routes = s.routes(i.Addresses, i.Metric)
	s.checkMethod(&i)
	s.checkMTU6(&i)
	if i.Method == Static && len(i.Addresses) == 0 && s.has("method") {
		s.bad(s.line("method"), "method", "is static without a usable address", `address = ["192.168.7.10/24"], or method = "none"`)
	}
	return i, s.settings(&i)
}

// method reads the method, or derives it: addresses mean static. A section
// that says neither is tried like an interface that the file does not name
// (methods reports it).
func (s section) method(addressed bool) Method {
	otherwise := DHCP
	if addressed {
		otherwise = Static
	}
	return Method(s.word("method", string(otherwise), string(Static), string(DHCP), string(None)))
}

// checkMethod takes away what the method leaves no room for.
func (s section) checkMethod(i *Interface) {
	refuse := func(keys ...string) {
		for _, k := range keys {
			if s.has(k) {
				s.bad(s.line(k), k, fmt.Sprintf("has no place beside method = %q", string(i.Method)), `method = "static", or no `+k)
			}
		}
	}
	switch i.Method {
	case DHCP:
		refuse("address", "gateway", "routes")
		i.Addresses, i.Gateways, i.Routes = nil, nil, nil
	case None:
		refuse("address", "gateway", "routes", "dns")
		i.Addresses, i.Gateways, i.Routes, i.DNS = nil, nil, nil, nil
		if i.Kind == Physical && i.MTU != 0 {
			refuse("mtu")
			i.MTU = 0
		}
	}
}

func (s section) checkMTU6(i *Interface) {
	six := slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() })
	if six && i.MTU != 0 && i.MTU < minMTU6 {
		s.bad(s.line("mtu"), "mtu", fmt.Sprintf("%d is too small for an IPv6 address", i.MTU), fmt.Sprintf("%d or more", minMTU6))
		i.MTU = 0
	}
}

// addresses reads the addresses, each with its prefix length.
func (s section) addresses() []netip.Prefix {
	var list []netip.Prefix
	for _, v := range s.strings("address") {
		p, wrong := parseAddress(v.text)
		if wrong == "" && slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Addr() == p.Addr() }) {
			wrong = "is there twice"
		}
		if wrong != "" {
			s.bad(v.line, "address", fmt.Sprintf("%q %s", v.text, wrong), "an address of this node with its prefix length, like 192.168.7.10/24")
			continue
		}
		s.sink.saw(v.line, dotted(s.path, "address"), p.Addr())
		list = append(list, p)
	}
	return list
}

// parseAddress returns an address that a host can have, or what is wrong.
func parseAddress(text string) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		if _, err := netip.ParseAddr(text); err == nil {
			return p, "has no prefix length"
		}
		return p, "is not an address"
	}
	a := p.Addr()
	switch {
	case a.Is4In6():
		return p, "is an IPv4 address in the form of IPv6"
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || p.Bits() == 0:
		return p, "is not an address that a host can have"
	case a.Is4() && p.Bits() < 31 && a == p.Masked().Addr():
		return p, "is the address of the network itself"
	case a.Is4() && p.Bits() < 31 && a == lastOf(p):
		return p, "is the broadcast address of its network"
	}
	return p, ""
}

// lastOf is the highest address of an IPv4 prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// gateways reads one gateway per family at most, each within reach.
func (s section) gateways(own []netip.Prefix) []netip.Addr {
	var list []netip.Addr
	for _, v := range s.strings("gateway") {
		a, wrong := parseAddr(v.text)
		if wrong == "" {
			wrong = unreachable(a, own)
		}
		if wrong == "" && slices.ContainsFunc(list, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
			wrong = "is a second gateway of its family"
		}
		if wrong != "" {
			s.bad(v.line, "gateway", fmt.Sprintf("%q %s", v.text, wrong), "one address per family, within a prefix of this interface")
			continue
		}
		list = append(list, a)
	}
	return list
}

// unreachable says why an address is not a neighbour on an interface that has
// these addresses, or "".
func unreachable(a netip.Addr, own []netip.Prefix) string {
	if slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Addr() == a }) {
		return "is this interface's own address"
	}
	if a.Is6() && a.IsLinkLocalUnicast() || slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return ""
	}
	return "is outside every prefix of this interface"
}

func (s section) servers() []netip.Addr {
	var list []netip.Addr
	for _, v := range s.strings("dns") {
		a, wrong := parseAddr(v.text)
		if wrong == "" && slices.Contains(list, a) {
			wrong = "is there twice"
		}
		if wrong != "" {
			s.bad(v.line, "dns", fmt.Sprintf("%q %s", v.text, wrong), "an address like 192.168.7.1")
			continue
		}
		list = append(list, a)
	}
	return list
}

// Want is what this interface should have: everything for a static one, what
// lies beside the lease for dhcp, nothing for none.
func (i Interface) Want() network.Wanted {
	if i.Method == None {
		return network.Wanted{}
	}
	w := network.Wanted{
		Up: true, MTU: i.MTU,
		Addresses: slices.Clone(i.Addresses),
		DNS:       slices.Clone(i.DNS),
		Routes:    slices.Clone(i.Routes),
	}
	for _, g := range i.Gateways {
		w.Routes = append(w.Routes, network.Route{To: everywhere(g), Via: g, Metric: i.Metric})
	}
	return w
}

// everywhere is the default route of an address's family.
func everywhere(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
