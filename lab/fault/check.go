package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/lab/topology"
)

var fidelities = []string{"sim", topology.NetNS, topology.Virtual}

// Check says whether a fault means something in a grid of a fidelity (sim,
// netns or vm): nil, or one line that says what is wrong and what is wanted.
func Check(f Fault, plan *topology.Plan, fidelity string) error {
	k, err := Find(f.Kind)
	if err != nil {
		return err
	}
	if !slices.Contains(fidelities, fidelity) {
		return fmt.Errorf("fault %s: fidelity %s: want sim, netns or vm", f.Kind, fidelity)
	}
	if why, not := k.Not[fidelity]; not {
		return fmt.Errorf("fault %s: not at fidelity %s: %s", f.Kind, fidelity, why)
	}
	for _, check := range []func(Kind, Fault, *topology.Plan) error{checkFields, checkAmounts, checkNames} {
		if err := check(k, f, plan); err != nil {
			return fmt.Errorf("fault %s: %w", f.Kind, err)
		}
	}
	return nil
}

func checkFields(k Kind, f Fault, _ *topology.Plan) error {
	given := f.given()
	for _, need := range k.Needs {
		if !slices.Contains(given, need) {
			return fmt.Errorf("%s is missing", need)
		}
	}
	takes := slices.Concat(k.Needs, k.Takes)
	if !k.Once {
		takes = append(takes, "for")
	}
	for _, g := range given {
		if !slices.Contains(takes, g) {
			return fmt.Errorf("it has no %s; it takes %s", g, strings.Join(takes, ", "))
		}
	}
	if k.Class == Link && f.From == "" && f.To == "" && f.Both {
		return fmt.Errorf("from and to are everybody, so both says nothing; leave it out")
	}
	return nil
}

func checkAmounts(k Kind, f Fault, _ *topology.Plan) error {
	switch {
	case f.For < 0 || f.Delay < 0 || f.Jitter < 0:
		return fmt.Errorf("a time below zero: want one above it")
	case slices.Contains(k.Needs, "percent") && !(f.Percent > 0 && f.Percent <= 100):
		return fmt.Errorf("percent %g: want above 0 to 100", f.Percent)
	case f.Rate < 0:
		return fmt.Errorf("rate %s: want one above zero", f.Rate)
	case f.Address.IsValid() && !f.Address.Is4():
		return fmt.Errorf("address %s: want an IPv4 address", f.Address)
	}
	return nil
}

func checkNames(k Kind, f Fault, p *topology.Plan) error {
	switch k.Class {
	case Link:
		return checkLink(f, p)
	case Node:
		return checkNode(f, p)
	case Segment:
		return checkSegment(f, p)
	}
	if f.On != "" {
		if err := known("AC", f.On, names(p.ACs)); err != nil {
			return err
		}
	}
	for _, n := range f.Nodes {
		if err := known("node", n, names(p.Nodes)); err != nil {
			return err
		}
	}
	return nil
}

func checkLink(f Fault, p *topology.Plan) error {
	machines := slices.Concat(p.Nodes, p.ACs, p.DHCP)
	for _, name := range []string{f.From, f.To} {
		if name == "" {
			continue
		}
		if err := known("machine", name, names(machines)); err != nil {
			return err
		}
	}
	if f.From != "" && f.To != "" {
		if f.From == f.To {
			return fmt.Errorf("from and to are both %s: want two machines", f.From)
		}
		if len(Shared(p, f.From, f.To)) == 0 {
			return fmt.Errorf("%s and %s have no segment in common", f.From, f.To)
		}
	}
	return nil
}

func checkNode(f Fault, p *topology.Plan) error {
	if err := known("node", f.On, names(p.Nodes)); err != nil {
		return err
	}
	node := p.Nodes[slices.IndexFunc(p.Nodes, func(m topology.Machine) bool { return m.Name == f.On })]
	if f.NIC != "" && !slices.ContainsFunc(node.Ports, func(q topology.Port) bool { return q.NIC == f.NIC }) {
		var nics []string
		for _, q := range node.Ports {
			nics = append(nics, q.NIC)
		}
		return known("NIC of "+f.On, f.NIC, nics)
	}
	switch {
	case f.Kind == Move:
		return checkMove(f, node, p)
	case f.Kind == Impostor && f.To == f.On:
		return fmt.Errorf("on and to are both %s: want another node", f.On)
	case f.Kind == Impostor:
		return known("node", f.To, names(p.Nodes))
	case f.To != "":
		return known("segment", f.To, segments(p))
	}
	return nil
}

func checkMove(f Fault, node topology.Machine, p *topology.Plan) error {
	nic := cmp.Or(f.NIC, "eth0")
	for _, q := range node.Ports {
		if q.NIC == nic && q.Segment == f.To {
			return fmt.Errorf("%s of %s is plugged into %s already", nic, f.On, f.To)
		}
	}
	return known("segment", f.To, segments(p))
}

func checkSegment(f Fault, p *topology.Plan) error {
	if err := known("segment", f.On, segments(p)); err != nil {
		return err
	}
	serves := slices.ContainsFunc(p.DHCP, func(m topology.Machine) bool { return m.Ports[0].Segment == f.On })
	if strings.HasPrefix(f.Kind, "dhcp-") && f.Kind != DHCPForeign && !serves {
		return fmt.Errorf("segment %s has no DHCP server", f.On)
	}
	return nil
}

// Shared lists the segments on which two machines both have a NIC, in the
// order of the plan; an empty name is on all of them.
func Shared(p *topology.Plan, a, b string) []string {
	on := func(name, segment string) bool {
		return name == "" || slices.ContainsFunc(slices.Concat(p.Nodes, p.ACs, p.DHCP), func(m topology.Machine) bool {
			return m.Name == name && slices.ContainsFunc(m.Ports, func(q topology.Port) bool { return q.Segment == segment })
		})
	}
	return slices.DeleteFunc(segments(p), func(s string) bool { return !on(a, s) || !on(b, s) })
}

func segments(p *topology.Plan) []string {
	var all []string
	for _, s := range p.Segments {
		all = append(all, s.Name)
	}
	return all
}

func names(machines []topology.Machine) []string {
	var all []string
	for _, m := range machines {
		all = append(all, m.Name)
	}
	return all
}

// maxNamed bounds how many names an error lists.
const maxNamed = 12

func known(what, name string, all []string) error {
	if slices.Contains(all, name) {
		return nil
	}
	shown := strings.Join(all[:min(len(all), maxNamed)], ", ")
	if len(all) > maxNamed {
		shown += fmt.Sprintf(", … (%d in all)", len(all))
	}
	return fmt.Errorf("%s %q: %w; there are %s", what, name, ErrUnknown, shown)
}
