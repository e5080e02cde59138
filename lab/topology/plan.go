package topology

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Plan is a topology worked out for one lab: every machine by name, with its
// MACs and addresses. The same topology and lab give the same plan.
type Plan struct {
	Lab      string    `json:"lab"`
	IPv6     bool      `json:"ipv6"`
	Segments []Segment `json:"segments"`
	ACs      []Machine `json:"acs"`
	DHCP     []Machine `json:"dhcp"` // one for each segment that has a server
	Nodes    []Machine `json:"nodes"`
}

// Machine is an AC, a DHCP server or a node of a plan.
type Machine struct {
	Name     string        `json:"name"`
	Fidelity string        `json:"fidelity,omitempty"`
	VM       *VM           `json:"vm,omitempty"` // of a node of fidelity vm
	Ports    []Port        `json:"ports"`
	TPM      bool          `json:"tpm,omitempty"`
	NetTOML  string        `json:"net_toml,omitempty"`
	Clock    time.Duration `json:"clock,omitempty"`
	AC       *AC           `json:"ac,omitempty"`
	DHCP     *DHCP         `json:"dhcp,omitempty"`
}

// Port is a NIC of a machine and the segment it is plugged into.
type Port struct {
	NIC     string       `json:"nic"`
	Segment string       `json:"segment"`
	MAC     string       `json:"mac"`
	Method  string       `json:"method,omitempty"`
	Address netip.Prefix `json:"address,omitzero"`

	line int // of the topology file; 0: made of no line of its own
}

// maxSpread keeps a slip of the finger from eating the memory before it is refused.
const maxSpread = 100000

// Spread gives the groups of nodes new counts, n in all, as even as can be.
func (t *Topology) Spread(n int) error {
	if n < 1 || n > maxSpread {
		return fmt.Errorf("%d nodes: want 1 or more, at most %d", n, maxSpread)
	}
	if len(t.Nodes) == 0 {
		return fmt.Errorf("%s: has no group of nodes to spread %d nodes over", t.file, n)
	}
	for i := range t.Nodes {
		g := &t.Nodes[i]
		g.Count, g.counted = n/len(t.Nodes), true
		if i < n%len(t.Nodes) {
			g.Count++
		}
		if g.Count > 1 && slices.ContainsFunc(g.NICs, NIC.unique) {
			return fmt.Errorf("%s:%d: nodes: %s has a MAC or an address, which is for one node; it cannot be %d of %d nodes", t.file, g.line, g.Name, g.Count, n)
		}
	}
	return nil
}

// unique reports whether only one node can have such a NIC.
func (n NIC) unique() bool { return n.MAC != "" || n.Address.IsValid() }

// Plan works the topology out for a lab.
func (t *Topology) Plan(lab string) (*Plan, error) {
	p := &Plan{Lab: lab, IPv6: t.IPv6, Segments: t.Segments}
	used := map[netip.Addr]string{}
	var errs []error
	take := func(line int, who string, a netip.Addr) {
		if other, ok := used[a]; ok && a.IsValid() {
			errs = append(errs, fmt.Errorf("%s:%d: address: %s of %s is also that of %s", t.file, line, a, who, other))
		}
		used[a] = who
	}
	for _, s := range t.Segments {
		if s.DHCP == nil {
			continue
		}
		m := Machine{Name: "dhcp." + s.Name, DHCP: s.DHCP}
		a := s.prefix(nth(s.Subnet, 1))
		take(s.line, m.Name, a.Addr())
		m.Ports = []Port{{NIC: "eth0", Segment: s.Name, MAC: MAC(lab, m.Name, 0), Address: a}}
		p.DHCP = append(p.DHCP, m)
	}
	for _, a := range t.ACs {
		m := Machine{Name: a.Name, AC: &a}
		for i, l := range a.Legs {
			s := t.segment(l.Segment)
			take(l.line, a.Name, l.Address)
			m.Ports = append(m.Ports, Port{NIC: nicName(i), Segment: s.Name, MAC: MAC(lab, a.Name, i), Address: s.prefix(l.Address), line: l.line})
		}
		p.ACs = append(p.ACs, m)
	}
	for _, g := range t.Nodes { // fixed addresses first, so that the others go around them
		for _, n := range g.NICs {
			if n.Address.IsValid() && g.Count > 0 {
				take(n.line, g.Name, n.Address)
			}
		}
	}
	for _, g := range t.Nodes {
		nodes, err := t.group(lab, g, used)
		errs = append(errs, err)
		p.Nodes = append(p.Nodes, nodes...)
	}
	errs = append(errs, p.checkMACs(t.file))
	for i := range p.Nodes {
		if p.Nodes[i].NetTOML == "" {
			p.Nodes[i].NetTOML = p.netTOML(p.Nodes[i])
		}
	}
	return p, errors.Join(errs...)
}

// checkMACs refuses a MAC that two NICs of a segment have: one would get the
// other's frames. On another segment it is what a thief has.
func (p *Plan) checkMACs(file string) error {
	owner := map[string]string{}
	var errs []error
	for _, m := range slices.Concat(p.ACs, p.DHCP, p.Nodes) {
		for _, port := range m.Ports {
			who, here := port.NIC+" of "+m.Name, port.Segment+" "+port.MAC
			if first, twice := owner[here]; twice {
				errs = append(errs, fmt.Errorf("%s:%d: mac: %s of %s is also that of %s; want one of its own on a segment",
					file, port.line, port.MAC, who, first))
			}
			owner[here] = who
		}
	}
	return errors.Join(errs...)
}

// group works out the nodes of a group. A full segment is one error, however
// many nodes find no place.
func (t *Topology) group(lab string, g Group, used map[netip.Addr]string) ([]Machine, error) {
	var nodes []Machine
	for i := range g.Count {
		m, err := t.node(lab, g, i, used)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: nodes: %s: %w for %d of %d nodes; want fewer nodes or a larger subnet", t.file, g.line, g.Name, err, g.Count-i, g.Count)
		}
		nodes = append(nodes, m)
	}
	return nodes, nil
}

// node works out one node of a group.
func (t *Topology) node(lab string, g Group, i int, used map[netip.Addr]string) (Machine, error) {
	name := g.Name
	if g.counted {
		name = fmt.Sprintf("%s-%d", g.Name, i+1)
	}
	clock, _ := time.ParseDuration(g.Clock) // checked when read; empty is 0
	m := Machine{Name: name, Fidelity: g.Fidelity, TPM: g.TPM, NetTOML: g.NetTOML, Clock: clock}
	if g.Fidelity == Virtual {
		m.VM = &g.VM
	}
	for j, n := range g.NICs {
		port := Port{NIC: nicName(j), Segment: n.Segment, MAC: n.MAC, Method: n.Method, line: n.line}
		if port.MAC == "" {
			port.MAC = MAC(lab, name, j)
		}
		if n.Method == "static" {
			s := t.segment(n.Segment)
			a := n.Address
			if !a.IsValid() {
				var err error
				if a, err = t.free(s, used); err != nil {
					return m, err
				}
				used[a] = name
			}
			port.Address = s.prefix(a)
		}
		m.Ports = append(m.Ports, port)
	}
	return m, nil
}

// free finds the next static address nobody has.
func (t *Topology) free(s *Segment, used map[netip.Addr]string) (netip.Addr, error) {
	for a := s.Static.First; !s.Static.Last.Less(a); a = a.Next() {
		dynamic := s.DHCP != nil && !a.Less(s.DHCP.First) && !s.DHCP.Last.Less(a)
		if _, ok := used[a]; !ok && !dynamic {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("segment %s (%s to %s) has no address left", s.Name, s.Static.First, s.Static.Last)
}

func (t *Topology) segment(name string) *Segment {
	i := slices.IndexFunc(t.Segments, func(s Segment) bool { return s.Name == name })
	return &t.Segments[i]
}

// netTOML derives a node's net.toml: the controllers it can know, and the NICs
// whose method is given.
func (p *Plan) netTOML(n Machine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "controllers = [%s]\n", strings.Join(p.controllers(n), ", "))
	for _, port := range n.Ports {
		if port.Method == "" {
			continue
		}
		fmt.Fprintf(&b, "\n[interface.%s]\nmethod = %q\n", port.NIC, port.Method)
		if port.Address.IsValid() {
			fmt.Fprintf(&b, "address = [%q]\n", port.Address)
		}
	}
	return b.String()
}

// controllers are the ACs' addresses on the node's segments; a node whose
// segments have none knows those of all others, as one image for all would.
func (p *Plan) controllers(n Machine) []string {
	var near, far []string
	for _, ac := range p.ACs {
		for _, leg := range ac.Ports {
			if !leg.Address.IsValid() {
				continue
			}
			url := fmt.Sprintf("%q", fmt.Sprintf("https://%s:%d", leg.Address.Addr(), api.Port))
			far = append(far, url)
			if slices.ContainsFunc(n.Ports, func(q Port) bool { return q.Segment == leg.Segment }) {
				near = append(near, url)
			}
		}
	}
	if len(near) > 0 {
		return near
	}
	return far
}

// MAC makes the locally administered address of a NIC.
func MAC(lab, machine string, nic int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", lab, machine, nic))
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", sum[0], sum[1], sum[2], sum[3], sum[4])
}

func nicName(i int) string { return fmt.Sprintf("eth%d", i) }

// prefix gives an address the length of the segment's subnet; no address stays none.
func (s *Segment) prefix(a netip.Addr) netip.Prefix {
	if !a.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, s.Subnet.Bits())
}

// nth is the n-th address of an IPv4 subnet, or its last if it has fewer.
func nth(p netip.Prefix, n uint32) netip.Addr {
	base := binary.BigEndian.Uint32(p.Addr().AsSlice())
	size := uint32(1) << (32 - p.Bits())
	return addr4(base + min(n, size-2))
}

// last is the last address of an IPv4 subnet that a machine can have.
func last(p netip.Prefix) netip.Addr { return nth(p, 1<<31) }

func addr4(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, v)))
}
