package fabric

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// PlugTap makes a port that ends in a file instead of a NIC: a tap in the
// switch's namespace, up, whose frames are what is written to the file and
// read from it (Linux, Documentation/networking/tuntap.rst). QEMU is given the
// file; when the last copy of it is closed, the tap is gone. It takes frames
// with their checksums made, no offload: see the package's promise. p.MAC is
// the guest's affair.
func (s *Switch) PlugTap(p Port) (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		return nil, fmt.Errorf("plug a tap for %s of %s into segment %s: %w", p.NIC, p.Machine, p.Segment, err)
	}
	h, err := s.handle()
	if err != nil {
		return fail(err)
	}
	defer h.Close()
	if err := remove(h, p); err != nil {
		return fail(err)
	}
	f, err := s.openTap(p.Name())
	if err != nil {
		return fail(err)
	}
	link, err := h.LinkByName(p.Name())
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		_ = f.Close()
		return fail(err)
	}
	return f, nil
}

// openTap works on a thread that has gone over to the switch's namespace and
// does not come back: the kernel makes the tap where the thread is.
func (s *Switch) openTap(name string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		f, err := func() (*os.File, error) {
			ns, err := netns.GetFromPath(s.m.NetNS())
			if err != nil {
				return nil, fmt.Errorf("network namespace of the switch: %w", err)
			}
			defer ns.Close()
			if err := netns.Set(ns); err != nil {
				return nil, fmt.Errorf("network namespace of the switch: %w", err)
			}
			return newTap(name)
		}()
		done <- result{f, err}
	}()
	r := <-done
	return r.file, r.err
}

func newTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w; load the kernel's tun module (modprobe tun), or give the container the device", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make tap %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "tap "+name), nil
}
