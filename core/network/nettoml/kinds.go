package nettoml

import (
	"fmt"
	"maps"
	"slices"
)

// defaultVXLANPort is the UDP port of RFC 7348.
const defaultVXLANPort = 4789

// The keys that a kind has beside the common ones.
var kindKeys = map[Kind][]string{
	Physical: nil,
	VLAN:     {"parent", "id"},
	VXLAN:    {"vni", "parent", "local", "remote", "group", "port"},
	Bridge:   {"ports", "stp"},
	Bond:     {"ports", "mode", "miimon"},
	OVS:      {"bridge", "tag", "ports", "datapath"},
}

var kindWords = []string{string(Physical), string(VLAN), string(VXLAN), string(Bridge), string(Bond), string(OVS)}

// bondModes in the words of the kernel.
var bondModes = []string{"active-backup", "802.3ad", "balance-rr", "balance-xor", "broadcast", "balance-tlb", "balance-alb"}

// checkKeys reports the keys that this kind does not have.
func (s section) checkKeys(k Kind) {
	known := slices.Concat(commonKeys, kindKeys[k])
	for _, e := range s.table.entries {
		s.sink.saw(e.line, dotted(s.path, e.name))
		if slices.Contains(known, e.name) {
			continue
		}
		if kinds := kindsWith(e.name); len(kinds) > 0 {
			s.bad(e.line, e.name, fmt.Sprintf("has no place in kind %s", k), fmt.Sprintf("kind = %q", kinds[0]))
			continue
		}
		s.sink.unknown(e, s.path, known)
	}
}

// kindsWith returns the kinds that have a key, sorted.
func kindsWith(key string) []Kind {
	var kinds []Kind
	for _, k := range slices.Sorted(maps.Keys(kindKeys)) {
		if slices.Contains(kindKeys[k], key) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// settings reads what the kind needs; false when the device cannot be made.
func (s section) settings(i *Interface) bool {
	switch i.Kind {
	case VLAN:
		return s.vlan(i)
	case VXLAN:
		return s.vxlan(i)
	case Bridge:
		stp, _ := s.take("stp", isBool)
		i.Bridge = &BridgeSettings{Ports: s.names("ports"), STP: stp.truth}
	case Bond:
		return s.bond(i)
	case OVS:
		s.ovs(i)
	}
	return true
}

// needs reports a setting without which a device cannot be made. A setting
// that is there but useless has had its line already.
func (s section) needs(key, expect string) bool {
	if !s.has(key) {
		s.bad(s.table.line, key, "is missing", expect)
	}
	return false
}

func (s section) vlan(i *Interface) bool {
	v := &VLANSettings{Parent: s.name("parent"), ID: s.number("id", 0, 1, 4094)}
	i.VLAN = v
	switch {
	case v.Parent == "":
		return s.needs("parent", "the interface that carries the VLAN")
	case v.ID == 0:
		return s.needs("id", "1 to 4094")
	}
	return true
}

func (s section) vxlan(i *Interface) bool {
	v := &VXLANSettings{
		VNI: s.number("vni", 0, 1, 1<<24-1), Parent: s.name("parent"),
		Local: s.address("local"), Remote: s.address("remote"), Group: s.address("group"),
		Port: s.number("port", defaultVXLANPort, 1, 65535),
	}
	i.VXLAN = v
	if v.VNI == 0 {
		return s.needs("vni", "1 to 16777215")
	}
	if (s.has("group") && !v.Group.IsValid()) || (s.has("remote") && !v.Remote.IsValid()) ||
		(s.has("local") && !v.Local.IsValid()) || (s.has("parent") && v.Parent == "") {
		return false
	}
	return s.checkPeers(v)
}

// checkPeers holds the ends of a tunnel against one another.
func (s section) checkPeers(v *VXLANSettings) bool {
	refuse := func(key, wrong, expect string) bool {
		s.bad(s.line(key), key, wrong, expect)
		return false
	}
	other := v.Remote
	switch {
	case v.Group.IsValid() && v.Remote.IsValid():
		return refuse("group", "is there beside remote", "one of the two")
	case v.Group.IsValid() && !v.Group.IsMulticast():
		return refuse("group", fmt.Sprintf("%q is not a multicast address", v.Group), "a group like 239.1.1.1, or remote")
	case v.Group.IsValid() && v.Parent == "":
		return refuse("group", "needs a parent", "parent = the interface that the group is joined on")
	case v.Remote.IsValid() && v.Remote.IsMulticast():
		return refuse("remote", fmt.Sprintf("%q is a multicast address", v.Remote), "the address of one peer, or group")
	case v.Group.IsValid():
		other = v.Group
	}
	if v.Local.IsValid() && other.IsValid() && v.Local.Is4() != other.Is4() {
		return refuse("local", fmt.Sprintf("%s and %s are of two families", v.Local, other), "both IPv4 or both IPv6")
	}
	return true
}

func (s section) bond(i *Interface) bool {
	i.Bond = &BondSettings{
		Ports:  s.names("ports"),
		Mode:   s.word("mode", bondModes[0], bondModes...),
		Miimon: s.number("miimon", 100, 0, 60000),
	}
	if len(i.Bond.Ports) > 0 {
		return true
	}
	const expect = "the interfaces to bond"
	if e := s.table.get("ports"); e != nil && e.value.kind == isList && len(e.value.list) == 0 {
		s.bad(e.line, "ports", "is empty", expect)
	}
	return s.needs("ports", expect)
}

func (s section) ovs(i *Interface) {
	i.OVS = &OVSSettings{
		Bridge: s.name("bridge"), Tag: s.number("tag", 0, 1, 4094), Ports: s.names("ports"),
		Datapath: s.word("datapath", "", "system", "netdev"),
	}
	if i.OVS.Bridge == i.Name {
		i.OVS.Bridge = ""
	}
	without := func(key, wrong string) {
		if s.has(key) {
			s.bad(s.line(key), key, wrong, "a section of its own for the bridge")
		}
	}
	if i.OVS.Bridge == "" {
		without("tag", "has no place on a bridge")
		i.OVS.Tag = 0
		return
	}
	without("ports", "has no place on a port of a bridge")
	without("datapath", "has no place on a port of a bridge")
	i.OVS.Ports, i.OVS.Datapath = nil, ""
}

// needsOf returns the interfaces that a device is made of.
func (i Interface) needsOf() []string {
	switch {
	case i.VLAN != nil:
		return []string{i.VLAN.Parent}
	case i.VXLAN != nil && i.VXLAN.Parent != "":
		return []string{i.VXLAN.Parent}
	case i.OVS != nil && i.OVS.Bridge != "":
		return []string{i.OVS.Bridge}
	}
	return i.Ports()
}

// Ports returns the interfaces that this one takes for itself: the ports of a
// bridge or bond. They have no addresses of their own.
func (i Interface) Ports() []string {
	switch {
	case i.Bridge != nil:
		return i.Bridge.Ports
	case i.Bond != nil:
		return i.Bond.Ports
	case i.OVS != nil:
		return i.OVS.Ports
	}
	return nil
}
