package topology

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// MaxNodeName is the longest name of a node, AC or segment.
const MaxNodeName = 24

var nameForm = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// check looks at what only shows when the parts are seen together.
func (t *Topology) check(r *reader) {
	if len(t.Segments) == 0 {
		r.fail(1, "segments", "want at least one segment")
	}
	if len(t.ACs) == 0 {
		r.fail(1, "acs", "want at least one AC")
	}
	taken := map[string]string{}
	for i := range t.Segments {
		t.checkSegment(r, &t.Segments[i], taken)
	}
	for i := range t.ACs {
		t.checkAC(r, &t.ACs[i], taken)
	}
	for i := range t.Nodes {
		t.checkGroup(r, &t.Nodes[i], taken)
	}
}

// PeerPort is where the ACs of a lab reach each other's stores.
const PeerPort = 2380

// Peers are the addresses at which several ACs reach each other, by name: on
// the first segment on which all of them have one. One AC has no peers.
func (p *Plan) Peers() (map[string]netip.AddrPort, error) {
	if len(p.ACs) < 2 {
		return nil, nil
	}
	for _, s := range p.Segments {
		found := map[string]netip.AddrPort{}
		for _, ac := range p.ACs {
			for _, leg := range ac.Ports {
				if leg.Segment == s.Name && leg.Address.IsValid() {
					found[ac.Name] = netip.AddrPortFrom(leg.Address.Addr(), PeerPort)
				}
			}
		}
		if len(found) == len(p.ACs) {
			return found, nil
		}
	}
	return nil, fmt.Errorf("acs: want a segment on which each of the %d ACs has an address: they share their data over it", len(p.ACs))
}

func (r *reader) name(line int, kind, name string, taken map[string]string) {
	switch {
	case len(name) > MaxNodeName || !nameForm.MatchString(name):
		r.fail(line, "name", "%q: want 1 to %d of a-z, 0-9 and -, with a letter first, for a %s", name, MaxNodeName, kind)
	case taken[kind+name] != "" || kind != "segment" && taken["machine"+name] != "":
		r.fail(line, "name", "%q is there twice; names of ACs and nodes must all differ, and so must those of segments", name)
	}
	taken[kind+name] = "x"
	if kind != "segment" {
		taken["machine"+name] = "x"
	}
}

func (t *Topology) checkSegment(r *reader, s *Segment, taken map[string]string) {
	r.name(s.line, "segment", s.Name, taken)
	if s.Static != nil {
		r.inside(s.Static.line, "static", s, s.Static.First, s.Static.Last)
	} else if s.Subnet.IsValid() {
		s.Static = &Range{First: nth(s.Subnet, 10), Last: last(s.Subnet)}
	}
	d := s.DHCP
	if d == nil {
		return
	}
	r.inside(d.line, "dhcp", s, d.First, d.Last)
	if d.Lease == 0 {
		d.Lease = time.Hour
	}
	if d.Lease < 2*time.Minute {
		r.fail(d.line, "lease", "%s: want 2m or more", d.Lease)
	}
}

// inside checks a range of a segment.
func (r *reader) inside(line int, key string, s *Segment, first, last netip.Addr) {
	switch {
	case !s.Subnet.IsValid():
		r.fail(line, key, "segment %s has no subnet, want one to take the range from", s.Name)
	case !s.Subnet.Contains(first) || !s.Subnet.Contains(last) || last.Less(first):
		r.fail(line, key, "want first and last within %s, first not after last", s.Subnet)
	}
}

func (t *Topology) checkAC(r *reader, a *AC, taken map[string]string) {
	r.name(a.line, "ac", a.Name, taken)
	if a.Policy == "" {
		a.Policy = "open"
	}
	if a.Policy != "open" && a.Policy != "approve" && a.Policy != "token" {
		r.fail(a.line, "policy", "%q: want open, approve or token", a.Policy)
	}
	if a.Fallback == nil {
		yes := true
		a.Fallback = &yes
	}
	if len(a.Legs) == 0 {
		r.fail(a.line, "legs", "want at least one")
	}
	for _, l := range a.Legs {
		if s := r.segmentOf(t, l.line, l.Segment); s != nil && l.Address.IsValid() && !s.Subnet.Contains(l.Address) {
			r.fail(l.line, "address", "%s is not in segment %s (%s)", l.Address, s.Name, subnetText(s))
		}
	}
}

func (t *Topology) checkGroup(r *reader, g *Group, taken map[string]string) {
	r.name(g.line, "group", g.Name, taken)
	if len(g.Name) > MaxNodeName-5 {
		r.fail(g.line, "name", "%q: want at most %d letters, a number follows", g.Name, MaxNodeName-5)
	}
	t.checkVM(r, g)
	if g.Clock != "" {
		if _, err := time.ParseDuration(g.Clock); err != nil {
			r.fail(g.line, "clock", "%q: want a duration such as -48h", g.Clock)
		}
	}
	if len(g.NICs) == 0 {
		r.fail(g.line, "nics", "want at least one")
	}
	for _, n := range g.NICs {
		t.checkNIC(r, g, n)
	}
}

func (t *Topology) checkNIC(r *reader, g *Group, n NIC) {
	s := r.segmentOf(t, n.line, n.Segment)
	if s == nil {
		return
	}
	switch n.Method {
	case "", "dhcp", "none":
		if n.Address.IsValid() {
			r.fail(n.line, "address", "%s: an address needs method: static", n.Address)
		}
	case "static":
		if !s.Subnet.IsValid() {
			r.fail(n.line, "method", "static: segment %s has no subnet", s.Name)
		} else if n.Address.IsValid() && !s.Subnet.Contains(n.Address) {
			r.fail(n.line, "address", "%s is not in segment %s (%s)", n.Address, s.Name, s.Subnet)
		}
	default:
		r.fail(n.line, "method", "%q: want static, dhcp or none", n.Method)
	}
	if g.counted && g.Count != 1 && n.unique() {
		r.fail(n.line, "nics", "a MAC or an address is for one node, this group has count: %d", g.Count)
	}
}

// segmentOf finds a segment or says which there are.
func (r *reader) segmentOf(t *Topology, line int, name string) *Segment {
	i := slices.IndexFunc(t.Segments, func(s Segment) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range t.Segments {
			names = append(names, s.Name)
		}
		r.fail(line, "segment", "%q: want one of %s", name, strings.Join(names, ", "))
		return nil
	}
	return &t.Segments[i]
}

func subnetText(s *Segment) string {
	if !s.Subnet.IsValid() {
		return "which has no subnet"
	}
	return s.Subnet.String()
}
