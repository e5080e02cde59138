package links

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network/nettoml"
)

// alias marks the devices that we made (ip link show: alias g8os), so that they
// are known for ours also without the record.
const alias = "g8os"

// made tells whether a device is one that we made. The kernel takes no alias
// while it makes a device: between the two the record knows.
func (l *Links) made(k netlink.Link) bool {
	a, e := k.Attrs(), l.record.find(k.Attrs().Name)
	return a.Alias == alias || e != nil && e.Made != "" && (e.Index == 0 || e.Index == a.Index)
}

// Ensure makes the device of an interface, or adjusts the one that we made
// before, so that an edited net.toml takes effect. What cannot be adjusted in
// place is made anew; its addresses come back with the next Apply. For a
// physical interface it only checks that it is there. A kind that this machine
// cannot make wraps ErrUnsupported and says what is missing; a device of that
// name that is not ours and differs wraps ErrNotOurs.
func (l *Links) Ensure(i nettoml.Interface) error {
	l.making.Lock()
	defer l.making.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	switch i.Kind {
	case nettoml.Physical:
		_, err = l.find(i.Name)
		return err
	case nettoml.OVS:
		err = l.ensureOVS(i)
	default:
		err = l.ensureDevice(i)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", i.Kind, i.Name, err)
	}
	return nil
}

// Remove takes away a device that Ensure made, with everything on it, and
// gives its ports back as they were. One that is gone already is forgotten.
func (l *Links) Remove(name string) error {
	l.making.Lock()
	defer l.making.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.record.find(name)
	if e == nil || e.Made == "" {
		return fmt.Errorf("remove %s: %w", name, ErrNotOurs)
	}
	errs := []error{l.serve(name, nil), l.releasePorts(name, nil)}
	if e.Made == string(nettoml.OVS) {
		errs = append(errs, l.removeOVS(name))
	} else {
		errs = append(errs, l.deleteDevice(name))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	l.record.forget(name)
	return l.save()
}

// deleteDevice deletes a device of ours; the mark decides.
func (l *Links) deleteDevice(name string) error {
	k, err := l.find(name)
	if errors.Is(err, ErrNoInterface) {
		return nil
	}
	if err != nil {
		return err
	}
	if !l.made(k) {
		return ErrNotOurs
	}
	return l.kernel.LinkDel(k)
}

func (l *Links) ensureDevice(i nettoml.Interface) error {
	want, err := l.deviceOf(i)
	if err != nil {
		return err
	}
	have, err := l.find(i.Name)
	switch {
	case errors.Is(err, ErrNoInterface):
	case err != nil:
		return err
	case sameDevice(have, want):
		return l.adjust(have, i)
	case !l.made(have):
		return fmt.Errorf("a %s of that name is there, and differs: %w", have.Type(), ErrNotOurs)
	default:
		if err := l.kernel.LinkDel(have); err != nil {
			return fmt.Errorf("make it anew: %w", err)
		}
	}
	if have, err = l.create(i, want); err != nil {
		return err
	}
	return l.adjust(have, i)
}

// create makes a device, recorded first.
func (l *Links) create(i nettoml.Interface, want netlink.Link) (netlink.Link, error) {
	l.record.forget(i.Name)
	l.record.Links = append(l.record.Links, &entry{Name: i.Name, Made: string(i.Kind)})
	if err := l.save(); err != nil {
		return nil, err
	}
	if err := l.kernel.LinkAdd(want); err != nil {
		l.record.forget(i.Name)
		return nil, errors.Join(explain(i.Kind, err), l.save())
	}
	k, err := l.find(i.Name)
	if err != nil {
		return nil, err
	}
	if err := l.kernel.LinkSetAlias(k, alias); err != nil {
		return nil, fmt.Errorf("mark it as ours: %w", err)
	}
	l.entryOf(k)
	l.log.Info("device made", "interface", i.Name, "kind", i.Kind)
	return k, l.save()
}

// options names what a kernel needs for a kind.
var options = map[nettoml.Kind]string{
	nettoml.VLAN:   "8021q (CONFIG_VLAN_8021Q)",
	nettoml.VXLAN:  "vxlan (CONFIG_VXLAN)",
	nettoml.Bridge: "bridge (CONFIG_BRIDGE)",
	nettoml.Bond:   "bonding (CONFIG_BONDING)",
}

// explain turns the kernel's refusal of a kind into words.
func explain(kind nettoml.Kind, err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("this kernel has no %s, or the parent cannot carry it: %w", options[kind], errors.Join(ErrUnsupported, err))
	}
	return fmt.Errorf("the kernel refuses it: %w", err)
}

// deviceOf describes the device that an interface wants.
func (l *Links) deviceOf(i nettoml.Interface) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = i.Name
	switch i.Kind {
	case nettoml.VLAN:
		parent, err := l.find(i.VLAN.Parent)
		if err != nil {
			return nil, err
		}
		attrs.ParentIndex = parent.Attrs().Index
		return &netlink.Vlan{LinkAttrs: attrs, VlanId: i.VLAN.ID, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}, nil
	case nettoml.VXLAN:
		return l.vxlanOf(attrs, *i.VXLAN)
	case nettoml.Bridge:
		return &netlink.Bridge{LinkAttrs: attrs}, nil
	case nettoml.Bond:
		b := netlink.NewLinkBond(attrs)
		b.Mode, b.Miimon = netlink.StringToBondMode(i.Bond.Mode), i.Bond.Miimon
		return b, nil
	}
	return nil, fmt.Errorf("kind %s: %w", i.Kind, ErrUnsupported)
}

func (l *Links) vxlanOf(attrs netlink.LinkAttrs, v nettoml.VXLANSettings) (netlink.Link, error) {
	x := &netlink.Vxlan{LinkAttrs: attrs, VxlanId: v.VNI, Port: v.Port, Learning: true}
	if v.Parent != "" {
		parent, err := l.find(v.Parent)
		if err != nil {
			return nil, err
		}
		x.VtepDevIndex = parent.Attrs().Index
	}
	if v.Local.IsValid() {
		x.SrcAddr = v.Local.AsSlice()
	}
	x.Group = v.Group.AsSlice()
	if v.Remote.IsValid() {
		x.Group = v.Remote.AsSlice()
	}
	return x, nil
}

// sameDevice compares what cannot be adjusted in place.
func sameDevice(have, want netlink.Link) bool {
	switch w := want.(type) {
	case *netlink.Vlan:
		h, ok := have.(*netlink.Vlan)
		return ok && h.VlanId == w.VlanId && h.ParentIndex == w.ParentIndex
	case *netlink.Vxlan:
		h, ok := have.(*netlink.Vxlan)
		return ok && h.VxlanId == w.VxlanId && h.VtepDevIndex == w.VtepDevIndex && h.Port == w.Port &&
			sameIP(h.SrcAddr, w.SrcAddr) && sameIP(h.Group, w.Group)
	case *netlink.Bridge:
		return have.Type() == "bridge"
	case *netlink.Bond:
		h, ok := have.(*netlink.Bond)
		return ok && h.Mode == w.Mode && h.Miimon == w.Miimon
	}
	return false
}

// sameIP compares addresses; absent and unspecified are the same.
func sameIP(a, b []byte) bool {
	x, _ := netip.AddrFromSlice(a)
	y, _ := netip.AddrFromSlice(b)
	x, y = x.Unmap(), y.Unmap()
	return x == y || (!x.IsValid() || x.IsUnspecified()) && (!y.IsValid() || y.IsUnspecified())
}

// adjust brings the ports and settings of a device up to date.
func (l *Links) adjust(k netlink.Link, i nettoml.Interface) error {
	var errs []error
	if i.Bridge != nil && l.made(k) {
		errs = append(errs, l.setSTP(k, i.Bridge.STP))
	}
	if i.Bridge != nil || i.Bond != nil {
		errs = append(errs, l.releasePorts(i.Name, i.Ports()))
		for _, p := range i.Ports() {
			errs = append(errs, l.takePort(k, p, i.MTU))
		}
	}
	return errors.Join(errs...)
}
