// Package topology reads the file that says what a lab consists of: segments,
// their DHCP servers, ACs, and nodes.
//
// It promises strictness: an unknown key, a wrong type, an address outside its
// segment or a name used twice is one line with file, line, key and what is
// expected, and nothing is made of such a file. What it hands out is complete:
// every node has its MACs and addresses, always the same for the same lab.
// topology.schema.json beside it says the same to an editor.
//
// It is not the node's configuration: net.toml is only derived from it.
package topology

import (
	"net/netip"
	"time"
)

// Topology is what the file says.
type Topology struct {
	IPv6     bool      `yaml:"ipv6"`
	Segments []Segment `yaml:"segments"`
	ACs      []AC      `yaml:"acs"`
	Nodes    []Group   `yaml:"nodes"`

	file string
}

// Segment is one layer 2 network.
type Segment struct {
	Name   string       `yaml:"name"`
	Subnet netip.Prefix `yaml:"subnet"` // none: no address is planned on it
	Static *Range       `yaml:"static"` // where static addresses of nodes come from; default: the 10th on
	DHCP   *DHCP        `yaml:"dhcp"`   // nil: no DHCP server

	line int
}

// Range is a range of addresses, both ends included.
type Range struct {
	First netip.Addr `yaml:"first"`
	Last  netip.Addr `yaml:"last"`

	line int
}

// DHCP is a DHCP server on a segment. It sits on the first address of the subnet.
type DHCP struct {
	First   netip.Addr    `yaml:"first"`
	Last    netip.Addr    `yaml:"last"`
	Lease   time.Duration `yaml:"lease"`   // at least 2m, which is dnsmasq's least; default 1h
	Gateway netip.Addr    `yaml:"gateway"` // told to clients; default none
	DNS     []netip.Addr  `yaml:"dns"`     // told to clients; default none

	line int
}

// AC is a controller with a leg on each of some segments.
type AC struct {
	Name   string `yaml:"name"`
	Legs   []Leg  `yaml:"legs"`
	Policy string `yaml:"policy"` // open | approve | token; default open
	// Fallback puts 10.254.254.254 on every leg; default: it does.
	Fallback *bool `yaml:"fallback"`
	// Layers makes it give nodes the tools layer of the image; default: it does not.
	Layers bool `yaml:"layers"`
	// CertificateLife of what it issues, 0: the AC's default.
	CertificateLife time.Duration `yaml:"certificate_life"`

	line int
}

// Leg is a NIC of an AC.
type Leg struct {
	Segment string     `yaml:"segment"`
	Address netip.Addr `yaml:"address"` // none: only the fallback address is on it

	line int
}

// Group is a number of nodes of one kind.
type Group struct {
	Name     string `yaml:"name"`     // the nodes are NAME-1, NAME-2, …; just NAME without a count
	Count    int    `yaml:"count"`    // default 1
	Fidelity string `yaml:"fidelity"` // netns | vm; default netns
	VM       VM     `yaml:"vm"`       // what the machine is, at fidelity vm
	NICs     []NIC  `yaml:"nics"`
	NetTOML  string `yaml:"net_toml"` // the whole net.toml instead of the derived one
	TPM      bool   `yaml:"tpm"`      // each has a TPM 2.0 of its own (swtpm); a vm boots then instead of being a clone
	Clock    string `yaml:"clock"`    // how far the nodes' clocks are off, for example -48h

	line    int
	counted bool // count is in the file
}

// Fidelities: what a node is made of.
const (
	NetNS     = "netns" // namespaces of this kernel
	Virtual   = "vm"    // a QEMU machine that boots the Bootstrap OS
	Simulated = "sim"   // a node in virtual time (lab/sim); no topology asks for it by itself
)

// VM is the machine of a node of fidelity vm. Sizes are in MiB.
type VM struct {
	Memory   int    `yaml:"memory" json:"memory"`               // default 256
	CPUs     int    `yaml:"cpus" json:"cpus"`                   // default 1
	Boot     string `yaml:"boot" json:"boot"`                   // kernel | usb: the whole image on a stick; default kernel
	Firmware string `yaml:"firmware" json:"firmware,omitempty"` // bios | uefi, for usb; default uefi
	State    []int  `yaml:"state" json:"state"`                 // sizes of disks; the first is the state disk; default one of 512
	Tools    bool   `yaml:"tools" json:"tools,omitempty"`       // the tools layer is on a disk of its own
	Cold     bool   `yaml:"cold" json:"cold,omitempty"`         // boots instead of being a clone of a template
	Append   string `yaml:"append" json:"append,omitempty"`     // more kernel arguments

	line int
}

// NIC is a network interface of a node. The first is eth0.
type NIC struct {
	Segment string     `yaml:"segment"`
	MAC     string     `yaml:"mac"`     // default: made from lab, node and number
	Method  string     `yaml:"method"`  // static | dhcp | none; default: net.toml does not mention it
	Address netip.Addr `yaml:"address"` // static only; default: the next one of the segment

	line int
}
