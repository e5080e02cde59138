package console

import (
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/console/screen"
)

// Uptime is the time since the machine started, suspended time included.
func Uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// fill adds what everybody can see of the machine.
func fill(f *screen.Facts) {
	f.Uptime = Uptime()
	if f.Hostname == "" {
		if name, _ := os.Hostname(); name != "(none)" { // the kernel's word for it
			f.Hostname = name
		}
	}
	if f.Kernel == "" {
		f.Kernel = kernel()
	}
	if f.Cards == nil {
		f.Cards = cards()
	}
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// cards lists the network interfaces, the loopback excepted. What cannot be
// read is left empty.
func cards() []screen.Card {
	all, _ := net.Interfaces()
	out := []screen.Card{}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		c := screen.Card{Name: i.Name, MAC: i.HardwareAddr.String(), Up: i.Flags&net.FlagUp != 0, Carrier: i.Flags&net.FlagRunning != 0}
		_, err := os.Stat(filepath.Join("/sys/class/net", i.Name, "device"))
		c.Physical = err == nil
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() || ok && n.IP.To4() != nil {
				c.Addresses = append(c.Addresses, a.String())
			}
		}
		out = append(out, c)
	}
	return out
}
