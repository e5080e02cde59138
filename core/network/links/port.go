package links

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// takePort makes an interface a port of a bridge or bond, with the same MTU,
// and sets it up. A port of something else stays there.
func (l *Links) takePort(master netlink.Link, name string, mtu int) error {
	k, err := l.find(name)
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	to := master.Attrs()
	switch k.Attrs().MasterIndex {
	case to.Index:
		return errors.Join(l.portMTU(k, mtu), l.setUp(k))
	case 0:
	default:
		return fmt.Errorf("port %s is one of another device: %w", name, ErrNotOurs)
	}
	e := l.entryOf(k)
	e.Master = to.Name
	if err := l.save(); err != nil {
		return err
	}
	if master.Type() == "bond" { // a bond takes only what is down, and sets it up itself
		if err := l.kernel.LinkSetDown(k); err != nil {
			return fmt.Errorf("port %s: set down for the bond: %w", name, err)
		}
	}
	if err := l.kernel.LinkSetMaster(k, master); err != nil {
		e.Master = ""
		return errors.Join(fmt.Errorf("port %s: %w", name, err), l.giveBack(k, e))
	}
	l.log.Info("port taken", "interface", to.Name, "port", name)
	if err := l.kernel.LinkSetUp(k); err != nil {
		return fmt.Errorf("port %s: set up: %w", name, err)
	}
	return l.portMTU(k, mtu)
}

// portMTU sets the MTU of a port that we took, or restores it.
func (l *Links) portMTU(k netlink.Link, mtu int) error {
	e := l.record.find(k.Attrs().Name)
	if e == nil || e.Master == "" || mtu == 0 && e.SetMTU == 0 {
		return nil
	}
	if mtu != 0 {
		e.SetMTU = mtu
		if err := l.save(); err != nil {
			return err
		}
	}
	if err := l.setMTU(&state{link: k, entry: e}, mtu); err != nil {
		return fmt.Errorf("port %s: %w", e.Name, err)
	}
	return l.save()
}

// releasePorts gives the ports of a device back, but for those to keep.
func (l *Links) releasePorts(master string, keep []string) error {
	var errs []error
	for _, e := range slices.Clone(l.record.Links) {
		if e.Master == master && !slices.Contains(keep, e.Name) {
			errs = append(errs, l.releasePort(e))
		}
	}
	return errors.Join(errs...)
}

func (l *Links) releasePort(e *entry) error {
	k, err := l.find(e.Name)
	if errors.Is(err, ErrNoInterface) || (err == nil && e.Index != k.Attrs().Index) {
		l.record.forget(e.Name)
		return l.save()
	}
	if err != nil {
		return err
	}
	// It may have moved on meanwhile: then it is not ours to free.
	if m, err := l.kernel.LinkByName(e.Master); err == nil && m.Attrs().Index == k.Attrs().MasterIndex {
		if err := l.kernel.LinkSetNoMaster(k); err != nil {
			return fmt.Errorf("port %s: free it: %w", e.Name, err)
		}
	}
	err = l.portMTU(k, 0)
	e.Master = ""
	return errors.Join(err, l.giveBack(k, e))
}

// giveBack sets a former port up or down as it was before us, unless we want
// it up for something else.
func (l *Links) giveBack(k netlink.Link, e *entry) error {
	var err error
	if e.Up || e.Raised {
		err = l.kernel.LinkSetUp(k)
	} else {
		err = l.kernel.LinkSetDown(k)
	}
	if err != nil {
		return fmt.Errorf("port %s: give it back: %w", e.Name, err)
	}
	if e.idle() {
		l.record.forget(e.Name)
	}
	return l.save()
}

// setSTP sets the spanning tree of a bridge, which netlink.Bridge does not
// know (IFLA_BR_STP_STATE).
func (l *Links) setSTP(k netlink.Link, on bool) error {
	state := uint32(0)
	if on {
		state = 1
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(k.Attrs().Index)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(state))
	req.AddData(info)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("set the spanning tree: %w", err)
	}
	return nil
}
