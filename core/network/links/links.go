// Package links puts what is wanted on the interfaces of the kernel, and takes
// it away again.
//
// It promises:
//   - Apply is exact and idempotent: afterwards everything of ours on that
//     interface is what was wanted, no more and no less;
//   - what belongs to others stays: an address, route or name server that was
//     there before we wanted it is never ours, and survives a withdraw;
//   - an interface is given back exactly as it was: addresses, routes, name
//     servers, up or down, MTU;
//   - this also holds after kill -9: what is about to be added is written to a
//     record before the kernel is changed, and the next start reads it;
//   - the loopback is never touched.
//
// What cannot be done for one address or route does not stop the others: the
// errors come joined.
//
// It decides nothing: which layer wants what on which interface is the boot
// machine's business. It speaks about the network namespace in which Open was
// called, and trusts netlink alone for it, because /sys may show another one.
// A Links may be used by several goroutines.
package links

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
)

// Errors that a caller can tell apart.
var (
	ErrLoopback    = errors.New("the loopback is left alone")
	ErrNoInterface = errors.New("no such interface")
	ErrNotOurs     = errors.New("it belongs to somebody else")
	ErrUnsupported = errors.New("not supported here")
)

// Options says where Links keeps its files.
type Options struct {
	Record     string // what we added, across restarts; best on a tmpfs such as /run
	ResolvConf string // usually /etc/resolv.conf; empty: name servers are not ours to set
	OVSDB      string // database of Open vSwitch, as ovs-vsctl --db wants it; empty: its default
	Log        *slog.Logger
}

// Links is the interfaces of one network namespace.
type Links struct {
	making sync.Mutex // held before mu by what may have to wait for Open vSwitch
	mu     sync.Mutex
	kernel *netlink.Handle
	opts   Options
	log    *slog.Logger
	record record

	saved   []byte // the record as it was last written
	lasting []byte // the part of it that has reached the disk
}

// Open reads the record that an earlier process may have left, and connects to
// the kernel. It changes nothing.
func Open(o Options) (*Links, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(o.Record), 0o755); err != nil {
		return nil, fmt.Errorf("record of the interfaces: %w", err)
	}
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	l := &Links{kernel: kernel, opts: o, log: o.Log}
	if l.record, err = load(o.Record, o.Log); err != nil {
		kernel.Close()
		return nil, err
	}
	return l, nil
}

// Close lets go of the kernel. What was applied stays.
func (l *Links) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kernel.Close()
}

// List returns the interfaces as they are now, by index.
func (l *Links) List() ([]network.Link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kernel, err := again(l.kernel.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addresses, err := again(func() ([]netlink.Addr, error) { return l.kernel.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	list := make([]network.Link, 0, len(kernel))
	cards := slices.ContainsFunc(kernel, hardware)
	for _, k := range kernel {
		link := linkOf(k, addresses)
		link.Card = !l.isMade(k) && (hardware(k) || !cards && standsIn(k))
		link.Physical = link.Card && l.free(k)
		list = append(list, link)
	}
	slices.SortFunc(list, func(a, b network.Link) int { return cmp.Compare(a.Index, b.Index) })
	return list, nil
}

func linkOf(k netlink.Link, addresses []netlink.Addr) network.Link {
	a := k.Attrs()
	mac := a.HardwareAddr
	if len(a.PermHWAddr) == len(mac) && len(mac) > 0 {
		mac = a.PermHWAddr
	}
	link := network.Link{
		Name: a.Name, Index: a.Index, MAC: mac.String(), MTU: a.MTU, Kind: k.Type(),
		Up:      a.RawFlags&unix.IFF_UP != 0,
		Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0 && a.RawFlags&unix.IFF_UP != 0,
	}
	for _, x := range addresses {
		if p, ok := prefixOf(x); ok && x.LinkIndex == a.Index {
			link.Addresses = append(link.Addresses, p)
		}
	}
	slices.SortFunc(link.Addresses, func(a, b netip.Prefix) int { return a.Compare(b) })
	return link
}

// hardware tells an Ethernet card from everything that the kernel makes up.
func hardware(k netlink.Link) bool { return k.Type() == "device" && ethernet(k) }

// standsIn tells what is hardware to a node of a lab: the end of a cable, or a
// port of a switch, that was put into its namespace. On a machine with real
// cards the same kinds belong to containers and guests.
func standsIn(k netlink.Link) bool {
	switch k.Type() {
	case "veth", "tun", "tuntap", "openvswitch":
		return ethernet(k) && k.Attrs().Name != "ovs-netdev" && k.Attrs().Name != "ovs-system"
	}
	return false
}

func ethernet(k netlink.Link) bool {
	a := k.Attrs()
	return a.RawFlags&unix.IFF_LOOPBACK == 0 && len(a.HardwareAddr) == 6
}

// isMade tells that an interface is one of our making, by its name.
func (l *Links) isMade(k netlink.Link) bool {
	e := l.record.find(k.Attrs().Name)
	return e != nil && e.Made != ""
}

// free tells that an interface is no port of something.
func (l *Links) free(k netlink.Link) bool {
	e := l.record.find(k.Attrs().Name)
	return k.Attrs().MasterIndex == 0 && (e == nil || e.Master == "")
}

// Touched returns the interfaces that have something of ours, in the order of
// the first touch. After a start these are what the last process left.
func (l *Links) Touched() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, e := range l.record.Links {
		names = append(names, e.Name)
	}
	return names
}

// Made returns the devices that Ensure made, in that order.
func (l *Links) Made() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, e := range l.record.Links {
		if e.Made != "" {
			names = append(names, e.Name)
		}
	}
	return names
}

// find returns an interface that may be touched.
func (l *Links) find(name string) (netlink.Link, error) {
	k, err := l.kernel.LinkByName(name)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return nil, fmt.Errorf("interface %s: %w", name, ErrNoInterface)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if k.Attrs().RawFlags&unix.IFF_LOOPBACK != 0 {
		return nil, fmt.Errorf("interface %s: %w", name, ErrLoopback)
	}
	return k, nil
}

// again repeats a dump that a change has interrupted, a few times.
func again[T any](dump func() ([]T, error)) ([]T, error) {
	var list []T
	var err error
	for range 5 {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}
