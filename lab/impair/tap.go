package impair

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// openTap makes a tap, up, with room for a tag beside a full frame. It goes
// with its descriptor (Linux, Documentation/networking/tuntap.rst).
func openTap(name string) (int, error) {
	fail := func(err error) (int, error) { return -1, fmt.Errorf("tap %s: %w", name, err) }
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fail(fmt.Errorf("/dev/net/tun: %w; load the kernel's tun module (modprobe tun), or give the container the device", err))
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		err = raise(name)
	}
	if err != nil {
		_ = unix.Close(fd)
		return fail(err)
	}
	return fd, nil
}

func raise(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(l, 1500+4); err != nil {
		return fmt.Errorf("MTU: %w", err)
	}
	if err := netlink.LinkSetTxQLen(l, 4096); err != nil { // a switch sends in bursts
		return fmt.Errorf("queue: %w", err)
	}
	return netlink.LinkSetUp(l)
}
