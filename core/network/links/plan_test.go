package links

import (
	"net"
	"reflect"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name                string
		ours, there, wanted []string
		want                change[string]
	}{
		{"new", nil, nil, []string{"a"}, change[string]{add: []string{"a"}, keep: []string{"a"}}},
		{"ours stays", []string{"a"}, []string{"a"}, []string{"a"}, change[string]{keep: []string{"a"}}},
		{"ours is lost", []string{"a"}, nil, []string{"a"}, change[string]{add: []string{"a"}, keep: []string{"a"}}},
		{"somebody else has it", nil, []string{"a"}, []string{"a"}, change[string]{}},
		{"no longer wanted", []string{"a"}, []string{"a", "b"}, nil, change[string]{remove: []string{"a"}}},
		{"gone already", []string{"a"}, nil, nil, change[string]{}},
		{"wanted twice", nil, nil, []string{"a", "a"}, change[string]{add: []string{"a"}, keep: []string{"a"}}},
	} {
		if got := diff(c.ours, c.there, c.wanted); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestHardwareAndWhatStandsForIt(t *testing.T) {
	attrs := netlink.LinkAttrs{Name: "x", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	lo := netlink.LinkAttrs{Name: "lo", HardwareAddr: make([]byte, 6), RawFlags: unix.IFF_LOOPBACK}
	netdev := netlink.LinkAttrs{Name: "ovs-netdev", HardwareAddr: attrs.HardwareAddr}
	for _, c := range []struct {
		link               netlink.Link
		hardware, standsIn bool
	}{
		{&netlink.Device{LinkAttrs: attrs}, true, false},
		{&netlink.Device{LinkAttrs: lo}, false, false},
		{&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "ib0", HardwareAddr: make([]byte, 20)}}, false, false},
		{&netlink.Veth{LinkAttrs: attrs}, false, true},
		{&netlink.GenericLink{LinkAttrs: attrs, LinkType: "tun"}, false, true},
		{&netlink.GenericLink{LinkAttrs: netdev, LinkType: "tun"}, false, false},
		{&netlink.GenericLink{LinkAttrs: attrs, LinkType: "openvswitch"}, false, true},
		{&netlink.Bridge{LinkAttrs: attrs}, false, false},
		{&netlink.Vxlan{LinkAttrs: attrs}, false, false},
		{&netlink.Bond{LinkAttrs: attrs}, false, false},
	} {
		if hardware(c.link) != c.hardware || standsIn(c.link) != c.standsIn {
			t.Errorf("%s %s: hardware %v, stands in %v", c.link.Type(), c.link.Attrs().Name, hardware(c.link), standsIn(c.link))
		}
	}
}
