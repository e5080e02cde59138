package topology

import (
	"net/netip"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/g8os/g8os/core/api"
)

func (r *reader) topology(n *yaml.Node, t *Topology) {
	r.object("", n, map[string]field{
		"ipv6":     r.flag(&t.IPv6),
		"segments": r.list(func(key string, n *yaml.Node) { t.Segments = append(t.Segments, r.segment(key, n)) }),
		"acs":      r.list(func(key string, n *yaml.Node) { t.ACs = append(t.ACs, r.ac(key, n)) }),
		"nodes":    r.list(func(key string, n *yaml.Node) { t.Nodes = append(t.Nodes, r.group(key, n)) }),
	}, "ipv6, segments, acs, nodes")
}

func (r *reader) segment(key string, n *yaml.Node) Segment {
	s := Segment{line: n.Line}
	r.object(key, n, map[string]field{
		"name":   r.text(&s.Name, "a name"),
		"subnet": value(r, &s.Subnet, "an IPv4 subnet such as 192.168.7.0/24", parseSubnet),
		"static": func(key string, n *yaml.Node) { s.Static = r.span(key, n) },
		"dhcp":   func(key string, n *yaml.Node) { s.DHCP = r.dhcp(key, n) },
	}, "name, subnet, static, dhcp")
	return s
}

func parseSubnet(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err == nil && (p != p.Masked() || !p.Addr().Is4() || p.Bits() > 30 || p.Bits() < 8) {
		err = strconv.ErrRange
	}
	return p, err
}

func (r *reader) span(key string, n *yaml.Node) *Range {
	s := &Range{line: n.Line}
	r.object(key, n, map[string]field{"first": r.addr(&s.First), "last": r.addr(&s.Last)}, "first, last")
	return s
}

func (r *reader) dhcp(key string, n *yaml.Node) *DHCP {
	d := &DHCP{line: n.Line}
	r.object(key, n, map[string]field{
		"first":   r.addr(&d.First),
		"last":    r.addr(&d.Last),
		"lease":   r.duration(&d.Lease),
		"gateway": r.addr(&d.Gateway),
		"dns": r.list(func(key string, n *yaml.Node) {
			var a netip.Addr
			r.addr(&a)(key, n)
			d.DNS = append(d.DNS, a)
		}),
	}, "first, last, lease, gateway, dns")
	return d
}

func (r *reader) ac(key string, n *yaml.Node) AC {
	a := AC{line: n.Line}
	r.object(key, n, map[string]field{
		"name":   r.text(&a.Name, "a name"),
		"policy": r.text(&a.Policy, "open, approve or token"),
		"fallback": func(key string, n *yaml.Node) {
			a.Fallback = new(bool)
			r.flag(a.Fallback)(key, n)
		},
		"layers":           r.flag(&a.Layers),
		"certificate_life": r.duration(&a.CertificateLife),
		"legs":             r.list(func(key string, n *yaml.Node) { a.Legs = append(a.Legs, r.leg(key, n)) }),
	}, "name, legs, policy, fallback, layers, certificate_life")
	return a
}

func (r *reader) leg(key string, n *yaml.Node) Leg {
	l := Leg{line: n.Line}
	r.object(key, n, map[string]field{
		"segment": r.text(&l.Segment, "the name of a segment"),
		"address": r.addr(&l.Address),
	}, "segment, address")
	return l
}

func (r *reader) group(key string, n *yaml.Node) Group {
	g := Group{line: n.Line, Count: 1, Fidelity: NetNS, VM: defaultVM()}
	r.object(key, n, map[string]field{
		"name": r.text(&g.Name, "a name"),
		"count": func(key string, n *yaml.Node) {
			g.counted = true
			value(r, &g.Count, "a number from 0 to 1000", parseCount)(key, n)
		},
		"fidelity": r.text(&g.Fidelity, "netns or vm"),
		"vm":       func(key string, n *yaml.Node) { g.VM = r.vm(key, n) },
		"nics":     r.list(func(key string, n *yaml.Node) { g.NICs = append(g.NICs, r.nic(key, n)) }),
		"tpm":      r.flag(&g.TPM),
		"net_toml": r.text(&g.NetTOML, "the text of a net.toml"),
		"clock":    r.text(&g.Clock, "a duration such as -48h"),
	}, "name, count, fidelity, vm, tpm, nics, net_toml, clock")
	return g
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < 0 || n > 1000) {
		err = strconv.ErrRange
	}
	return n, err
}

func (r *reader) nic(key string, n *yaml.Node) NIC {
	c := NIC{line: n.Line}
	r.object(key, n, map[string]field{
		"segment": r.text(&c.Segment, "the name of a segment"),
		"mac":     value(r, &c.MAC, "a unicast MAC address such as 02:00:00:00:00:01", api.ParseMAC),
		"method":  r.text(&c.Method, "static, dhcp or none"),
		"address": r.addr(&c.Address),
	}, "segment, mac, method, address")
	return c
}
