package nettoml

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/g8os/g8os/core/network"
)

// settle holds the interfaces against one another, and takes away what
// contradicts an earlier one.
func settle(list []Interface, s *sink) []Interface {
	list = buildable(list, s)
	ports(list, s)
	methods(list, s)
	duplicates(list, s)
	return list
}

// buildable leaves out the devices that are made of themselves, in a circle or
// straight, and those that sit on what cannot carry them.
func buildable(list []Interface, s *sink) []Interface {
	byName := map[string]Interface{}
	for _, i := range list {
		byName[i.Name] = i
	}
	return slices.DeleteFunc(list, func(i Interface) bool {
		if !circular(i.Name, i.Name, byName, nil) {
			return wrongBridge(i, byName, s)
		}
		s.add(i.Line, dotted("interface", i.Name), "is made of itself", "parent and ports that lead to other interfaces")
		return true
	})
}

// wrongBridge finds a port of Open vSwitch on something that this file makes
// otherwise.
func wrongBridge(i Interface, byName map[string]Interface, s *sink) bool {
	if i.OVS == nil || i.OVS.Bridge == "" {
		return false
	}
	b, ok := byName[i.OVS.Bridge]
	if !ok || (b.Kind == OVS && b.OVS.Bridge == "") {
		return false
	}
	key := i.key("bridge")
	s.add(s.where(key), key, fmt.Sprintf("%s is not an Open vSwitch bridge", b.Name), `kind = "ovs" there`)
	return true
}

func circular(at, goal string, byName map[string]Interface, seen map[string]bool) bool {
	if seen == nil {
		seen = map[string]bool{}
	}
	for _, n := range byName[at].needsOf() {
		if n == goal {
			return true
		}
		if seen[n] {
			continue
		}
		seen[n] = true
		if circular(n, goal, byName, seen) {
			return true
		}
	}
	return false
}

// ports makes sure that an interface is a port of one other at most, and that
// a port has nothing of its own.
func ports(list []Interface, s *sink) {
	owner := map[string]string{}
	for n := range list {
		i := &list[n]
		i.setPorts(slices.DeleteFunc(slices.Clone(i.Ports()), func(p string) bool {
			if other := owner[p]; other != "" {
				s.add(s.where(i.key("ports"), p), i.key("ports"), fmt.Sprintf("%s is a port of %s already", p, other), "each interface in one place")
				return true
			}
			owner[p] = i.Name
			return false
		}))
	}
	for n := range list {
		if i := &list[n]; owner[i.Name] != "" {
			i.becomePort(owner[i.Name], s)
		}
	}
}

// becomePort leaves a port without addresses, whatever its section says.
func (i *Interface) becomePort(of string, s *sink) {
	key := i.key("method")
	if len(i.Addresses) > 0 {
		key = i.key("address")
	}
	if line := s.where(key); line > 0 && i.Method != None {
		s.add(line, key, fmt.Sprintf("a port of %s has no address of its own", of), fmt.Sprintf("the address on %s, and method = %q here", of, string(None)))
	}
	if i.Kind == Physical && i.MTU != 0 {
		s.add(s.where(i.key("mtu")), i.key("mtu"), fmt.Sprintf("a port of %s has the MTU of that", of), "mtu on "+of)
		i.MTU = 0
	}
	i.Method, i.Addresses, i.Gateways, i.Routes, i.DNS = None, nil, nil, nil, nil
}

// methods reports the interfaces that say neither how they get an address nor
// which; a port needs none.
func methods(list []Interface, s *sink) {
	for _, i := range list {
		if i.Method == DHCP && s.where(i.key("method"))+s.where(i.key("address")) == 0 {
			s.add(i.Line, i.key("method"), "is missing, and there is no address (taken as dhcp)", "one of static, dhcp, none")
		}
	}
}

func (i *Interface) setPorts(ports []string) {
	switch {
	case i.Bridge != nil:
		i.Bridge.Ports = ports
	case i.Bond != nil:
		i.Bond.Ports = ports
	case i.OVS != nil:
		i.OVS.Ports = ports
	}
}

// duplicates takes an address away from all interfaces but the first, with
// what was reached through it.
func duplicates(list []Interface, s *sink) {
	owner := map[netip.Addr]string{}
	for n := range list {
		i := &list[n]
		i.Addresses = slices.DeleteFunc(i.Addresses, func(p netip.Prefix) bool {
			if other := owner[p.Addr()]; other != "" {
				s.add(s.where(i.key("address"), p.Addr()), i.key("address"), fmt.Sprintf("%s is on %s already", p.Addr(), other), "each address once")
				return true
			}
			owner[p.Addr()] = i.Name
			return false
		})
		i.Gateways = slices.DeleteFunc(i.Gateways, func(g netip.Addr) bool { return unreachable(g, i.Addresses) != "" })
		i.Routes = slices.DeleteFunc(i.Routes, func(r network.Route) bool {
			return r.Via.IsValid() && unreachable(r.Via, i.Addresses) != ""
		})
	}
}

// key is the dotted path of one of its keys.
func (i Interface) key(name string) string { return "interface." + i.Name + "." + name }

// InOrder returns the interfaces so that each comes after those it is made of,
// and otherwise in file order: the order to make them in.
func (c Config) InOrder() []Interface {
	var order []Interface
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		for _, i := range c.Interfaces {
			if i.Name != name || done[name] {
				continue
			}
			done[name] = true
			for _, n := range i.needsOf() {
				visit(n)
			}
			order = append(order, i)
		}
	}
	for _, i := range c.Interfaces {
		visit(i.Name)
	}
	return order
}

// Missing returns a problem for each interface that the file names, that it
// does not make itself, and that this machine does not have.
func (c Config) Missing(have []string) []Problem {
	s := &sink{file: c.File}
	made := slices.Clone(have)
	for _, i := range c.Interfaces {
		if i.Kind != Physical {
			made = append(made, i.Name)
		}
	}
	for _, i := range c.Interfaces {
		key := dotted("interface", i.Name)
		if i.Kind == Physical && !slices.Contains(have, i.Name) {
			s.add(i.Line, key, "this machine has no such interface", "one that it has; or a kind, to make it")
		}
		for _, n := range i.needsOf() {
			if !slices.Contains(made, n) && (i.OVS == nil || i.OVS.Bridge == "") {
				s.add(i.Line, key, fmt.Sprintf("is made of %s, and this machine has no such interface", n), "one that it has")
			}
		}
	}
	return s.sorted()
}

// Interface returns the section of that name.
func (c Config) Interface(name string) (Interface, bool) {
	for _, i := range c.Interfaces {
		if i.Name == name {
			return i, true
		}
	}
	return Interface{}, false
}
