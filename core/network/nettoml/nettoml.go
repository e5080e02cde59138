// Package nettoml reads net.toml: which controllers a node may belong to, and
// what the operator wants on its interfaces.
//
// It promises that a mistake costs no more than what it touches: Parse never
// fails as a whole, says in one line per mistake what is wrong, where, and what
// it expected, and returns all the rest. What it returns is safe to apply as
// it stands: an address, route or device that does not hold is left out.
//
// It is pure: it reads bytes and returns data. Whether an interface exists on
// this machine is not known here; Config.Missing tells when given the names.
//
//	controllers = ["https://ac1.grid.example:8966", "https://192.168.7.2"]
//
//	[interface.eth0]
//	method  = "static"                 # static | dhcp | none
//	address = ["192.168.7.10/24", "fd00:7::10/64"]
//	gateway = ["192.168.7.1", "fd00:7::1"]
//	dns     = ["192.168.7.1"]
//	mtu     = 1500
//	metric  = 50                       # of its routes; else 100 + its place in the file
//	routes  = [{ to = "10.0.0.0/8", via = "192.168.7.254", metric = 10 }]
//
//	[interface.office]                 # a device that is to be made
//	kind   = "vlan"                    # vlan | vxlan | bridge | bond | ovs
//	parent = "eth0"
//	id     = 42
//	method = "dhcp"
package nettoml

import (
	"net/netip"

	"github.com/g8os/g8os/core/network"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 256 << 10

// Method says how an interface gets its addresses.
type Method string

// The methods.
const (
	Static Method = "static" // from this file
	DHCP   Method = "dhcp"   // from a lease, and from fallback when there is none
	None   Method = "none"   // left alone in every step
)

// Kind says what an interface is.
type Kind string

// The kinds. All but Physical are devices that are to be made.
const (
	Physical Kind = "physical"
	VLAN     Kind = "vlan"
	VXLAN    Kind = "vxlan"
	Bridge   Kind = "bridge"
	Bond     Kind = "bond"
	OVS      Kind = "ovs"
)

// Config is what a net.toml says. Nothing in it contradicts anything else.
type Config struct {
	File        string
	Controllers []string    // https://host:port, in file order
	Interfaces  []Interface // in file order
}

// Interface is one [interface.NAME] table.
type Interface struct {
	Name      string
	Line      int // of its table
	Kind      Kind
	Method    Method
	Addresses []netip.Prefix
	Gateways  []netip.Addr    // one per family at most
	Routes    []network.Route // without the default routes of Gateways
	DNS       []netip.Addr
	MTU       int // bytes; 0: leave as it is
	Metric    int // of routes that name none

	// What the kind needs; only the one of Kind is set.
	VLAN   *VLANSettings
	VXLAN  *VXLANSettings
	Bridge *BridgeSettings
	Bond   *BondSettings
	OVS    *OVSSettings
}

// VLANSettings is an 802.1Q tag on another interface.
type VLANSettings struct {
	Parent string
	ID     int // 1 to 4094
}

// VXLANSettings is a tunnel end (RFC 7348).
type VXLANSettings struct {
	VNI    int // 1 to 2^24-1
	Parent string
	Local  netip.Addr
	Remote netip.Addr // one peer; or
	Group  netip.Addr // a multicast group, which needs Parent
	Port   int        // UDP; 4789 unless set
}

// BridgeSettings is a bridge of the kernel.
type BridgeSettings struct {
	Ports []string
	STP   bool // spanning tree, off unless set
}

// BondSettings is a bond of the kernel.
type BondSettings struct {
	Ports  []string
	Mode   string // in the kernel's words; active-backup unless set
	Miimon int    // link check interval in milliseconds; 100 unless set
}

// OVSSettings is an Open vSwitch bridge (Bridge is empty: the interface is its
// local port), or an internal port on one.
type OVSSettings struct {
	Bridge   string
	Tag      int      // VLAN of an internal port; 0: none
	Ports    []string // of a bridge
	Datapath string   // of a bridge: system, netdev, or empty: the kernel's where there is one
}

// Parse reads a net.toml. The file name is only for the problems, which come
// in the order of their lines.
func Parse(file string, b []byte) (Config, []Problem) {
	sink := &sink{file: file}
	c := Config{File: file}
	if len(b) > MaxSize {
		sink.add(1, "", "the file is too large", "no more than 256 KiB")
		return c, sink.sorted()
	}
	root := read(b, sink)
	for _, e := range root.entries {
		switch e.name {
		case "controllers":
			c.Controllers = controllers(e.value, sink)
		case "interface":
			c.Interfaces = interfaces(e.value, sink)
		default:
			sink.unknown(e, "", []string{"controllers", "interface"})
		}
	}
	c.Interfaces = settle(c.Interfaces, sink)
	return c, sink.sorted()
}
