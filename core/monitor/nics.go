package monitor

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
)

// nics are the interfaces of this network namespace, by index, without lo.
func (r *Reader) nics() ([]api.NICFacts, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	slices.SortFunc(links, func(a, b netlink.Link) int { return a.Attrs().Index - b.Attrs().Index })
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("ask interfaces for their drivers: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	list := []api.NICFacts{}
	for _, l := range links {
		a := l.Attrs()
		if a.Flags&net.FlagLoopback != 0 {
			continue
		}
		n := api.NICFacts{
			Name: a.Name, MAC: a.HardwareAddr.String(), Kind: l.Type(), MTU: a.MTU, Speed: r.speed(a),
			Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0, Addresses: []string{},
		}
		if d, err := unix.IoctlGetEthtoolDrvinfo(fd, a.Name); err == nil {
			n.Driver = unix.ByteSliceToString(d.Driver[:])
		}
		addresses, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return list, fmt.Errorf("addresses of %s: %w", a.Name, err)
		}
		for _, x := range addresses {
			n.Addresses = append(n.Addresses, x.IPNet.String())
		}
		list = append(list, n)
	}
	return list, nil
}

// speed is that of an interface in Mbit/s, if /sys is of the same network
// namespace as we are.
func (r *Reader) speed(a *netlink.LinkAttrs) int {
	dir := filepath.Join(r.paths.Sys, "class/net", a.Name)
	if text(filepath.Join(dir, "ifindex")) != strconv.Itoa(a.Index) || text(filepath.Join(dir, "address")) != a.HardwareAddr.String() {
		return 0
	}
	n, err := strconv.Atoi(text(filepath.Join(dir, "speed")))
	if err != nil {
		return 0
	}
	return max(n, 0)
}
