package machine

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// setUpNet raises lo, applies the sysctls, and readies the NICs. Checksum
// offload to the switch is off on every NIC: the userspace datapath hands
// frames on with the checksum still to be made, and receivers drop them.
func setUpNet(spec Spec) error {
	sysctls := maps.Clone(spec.Sysctls)
	if sysctls == nil {
		sysctls = map[string]string{}
	}
	if !spec.IPv6 {
		sysctls["ipv6/conf/all/disable_ipv6"] = "1"
		sysctls["ipv6/conf/default/disable_ipv6"] = "1"
	}
	for _, key := range slices.Sorted(maps.Keys(sysctls)) {
		path := filepath.Join("/proc/sys/net", key)
		if err := os.WriteFile(path, []byte(sysctls[key]), 0o644); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	for _, nic := range spec.NICs {
		if err := setUpNIC(nic); err != nil {
			return fmt.Errorf("NIC %s: %w", nic.Name, err)
		}
	}
	return nil
}

func setUpNIC(nic NIC) error {
	if err := checksumOffloadOff(nic.Name); err != nil {
		return err
	}
	link, err := netlink.LinkByName(nic.Name)
	if err != nil {
		return err
	}
	for _, a := range nic.Addresses {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	if !nic.Up {
		return nil
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if nic.Gateway == "" {
		return nil
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(nic.Gateway)})
}

// checksumOffloadOff does what ethtool -K NIC tx off does.
func checksumOffloadOff(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := setTxChecksum(fd, name, false); err != nil {
		return fmt.Errorf("checksum offload off: %w", err)
	}
	return nil
}
