package links

import (
	"errors"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/nettoml"
)

// ensure reads a net.toml and makes everything in it.
func (b *bench) ensure(l *Links, text string) error {
	b.Helper()
	c, problems := nettoml.Parse("net.toml", []byte(text))
	for _, p := range problems {
		b.Fatal(p)
	}
	var errs []error
	for _, i := range c.InOrder() {
		errs = append(errs, l.Ensure(i))
	}
	return errors.Join(errs...)
}

const bridged = `
[interface.vx0]
kind   = "vxlan"
method = "none"
vni    = 42
parent = "eth0"
group  = "239.1.1.1"

[interface.br0]
kind    = "bridge"
address = "10.0.0.1/24"
ports   = ["eth1", "vx0"]
mtu     = 1440
stp     = true
`

func TestBridgeAndVXLAN(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	b.must(b.ensure(l, bridged))
	b.must(l.Apply("br0", network.Wanted{Addresses: prefixes("10.0.0.1/24")}))
	b.must(l.Apply("eth1", network.Wanted{}))
	b.has(b.ip("-d link show vx0"), "vxlan id 42 group 239.1.1.1 dev eth0", "dstport 4789", "master br0", "alias g8os", ",UP")
	b.has(b.ip("-d link show br0"), "stp_state 1", ",UP")
	b.has(b.ip("-d link show eth1"), "master br0", ",UP", "mtu 1440")

	twice := b.dump()
	b.must(b.ensure(b.open(), bridged)) // a restart
	b.same(twice, "Ensure is not idempotent")

	b.must(b.open().WithdrawAll())
	b.same(before, "devices or ports were left")
}

// TestT13EditedConfigTakesEffect: a port goes, a VNI and the spanning tree
// change; the addresses come back with the next Apply.
func TestT13EditedConfigTakesEffect(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.must(b.ensure(l, bridged))
	w := network.Wanted{Addresses: prefixes("10.0.0.1/24")}
	b.must(l.Apply("br0", w))
	b.must(l.Apply("vx0", network.Wanted{Up: true}))
	edited := strings.NewReplacer(`["eth1", "vx0"]`, `["vx0"]`, "= 42", "= 43", "= true", "= false").Replace(bridged)
	b.must(b.ensure(l, edited))
	b.must(l.Apply("br0", w))
	b.has(b.ip("-d link show vx0"), "vxlan id 43", "master br0")
	b.has(b.ip("-d link show br0"), "stp_state 0")
	b.has(b.ip("addr show br0"), "10.0.0.1/24")
	b.lacks(b.ip("link show eth1"), "master", ",UP")
	b.must(l.Remove("br0"))
	b.lacks(b.ip("link show"), "br0")
	b.must(l.WithdrawAll())
	b.lacks(b.ip("link show"), "vx0")
}

func TestDevicesOfOthersStay(t *testing.T) {
	b := newBench(t)
	b.ip("link add br0 address 02:00:00:00:00:b0 type bridge") // else it has that of its ports
	b.ip("link add vx0 type vxlan id 7 dstport 4789")
	b.ip("link add br9 type bridge")
	b.ip("link set eth1 master br9")
	before := b.dump()
	l := b.open()
	err := b.ensure(l, bridged)
	if !errors.Is(err, ErrNotOurs) || !strings.Contains(err.Error(), "vxlan vx0: a vxlan of that name is there") ||
		!strings.Contains(err.Error(), "port eth1 is one of another device") {
		t.Errorf("got %v", err)
	}
	if err := l.Remove("br0"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("got %v", err)
	}
	b.must(l.WithdrawAll())
	b.same(before, "somebody else's device was touched")
}

// kernelHas probes for a kind of device with a spike of its own.
func (b *bench) kernelHas(probe netlink.Link) bool {
	b.Helper()
	err := netlink.LinkAdd(probe)
	if err == nil {
		b.must(netlink.LinkDel(probe))
		return true
	}
	if !errors.Is(err, unix.EOPNOTSUPP) {
		b.Fatalf("probe: %v", err)
	}
	return false
}

// TestVLAN makes a VLAN where the kernel can, and elsewhere is told why not.
func TestVLAN(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	eth0, err := netlink.LinkByName("eth0")
	b.must(err)
	probe := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "probe", ParentIndex: eth0.Attrs().Index}, VlanId: 9}
	has := b.kernelHas(probe)
	l := b.open()
	err = b.ensure(l, "[interface.v42]\nkind=\"vlan\"\nparent=\"eth0\"\nid=42\nmethod=\"dhcp\"\n")
	if has {
		b.must(err)
		b.has(b.ip("-d link show v42"), "v42@eth0", "vlan protocol 802.1Q id 42")
		b.must(b.ensure(l, "[interface.v42]\nkind=\"vlan\"\nparent=\"eth0\"\nid=43\nmethod=\"dhcp\"\n"))
		b.has(b.ip("-d link show v42"), "id 43")
		b.must(l.WithdrawAll())
	} else if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "vlan v42: this kernel has no 8021q (CONFIG_VLAN_8021Q)") {
		t.Errorf("got %v", err)
	}
	b.same(before, "something was left")
}

func TestBond(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	has := b.kernelHas(netlink.NewLinkBond(netlink.LinkAttrs{Name: "probe"}))
	l := b.open()
	err := b.ensure(l, "[interface.bond7]\nkind=\"bond\"\nports=[\"eth0\",\"eth1\"]\nmethod=\"dhcp\"\n")
	if has {
		b.must(err)
		b.has(b.ip("-d link show bond7"), "mode active-backup", "miimon 100")
		b.has(b.ip("link show eth0"), "master bond7")
		b.must(l.WithdrawAll())
	} else if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "bond bond7: this kernel has no bonding (CONFIG_BONDING)") {
		t.Errorf("got %v", err)
	}
	b.same(before, "something was left")
}

func TestDeviceWithoutItsParent(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	err := b.ensure(b.open(), "[interface.x]\nkind=\"vxlan\"\nvni=4\nparent=\"eth7\"\nmethod=\"dhcp\"\n")
	if !errors.Is(err, ErrNoInterface) || !strings.Contains(err.Error(), "vxlan x: interface eth7") {
		t.Errorf("got %v", err)
	}
	if err := b.ensure(b.open(), "[interface.eth7]\nmethod=\"dhcp\"\n"); !errors.Is(err, ErrNoInterface) {
		t.Errorf("got %v", err)
	}
	b.same(before, "something was left")
}

// TestKilledWhileMaking: the device is there, the record was written before it.
func TestKilledWhileMaking(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	c, _ := nettoml.Parse("net.toml", []byte(bridged))
	want, err := l.deviceOf(c.Interfaces[0])
	b.must(err)
	l.record.Links = append(l.record.Links, &entry{Name: "vx0", Made: "vxlan"})
	b.must(l.save())
	b.must(l.kernel.LinkAdd(want)) // and no further
	b.must(b.open().WithdrawAll())
	b.same(before, "the device was left")
}
