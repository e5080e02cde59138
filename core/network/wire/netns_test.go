package wire

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// lan is a bridge in a network namespace of its own.
type lan struct {
	t  *testing.T
	ns netns.NsHandle
	h  *netlink.Handle
	br netlink.Link
	n  int
}

// host is a network namespace with eth0 in a lan.
type host struct {
	t   *testing.T
	ns  netns.NsHandle
	h   *netlink.Handle
	eth netlink.Link
	mac string
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{t: t}
	l.ns, l.h = newNS(t)
	l.br = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(t, l.h.LinkAdd(l.br))
	must(t, l.h.LinkSetUp(l.br))
	return l
}

// join gives the lan one more host. Checksum offloading stays as the kernel
// has it: on, with nobody to do the work.
func (l *lan) join(mac string) *host {
	l.t.Helper()
	x := &host{t: l.t, mac: mac}
	x.ns, x.h = newNS(l.t)
	hw, err := net.ParseMAC(mac)
	must(l.t, err)
	l.n++
	port := "port" + string(rune('a'+l.n))
	must(l.t, l.h.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: port, MasterIndex: l.br.Attrs().Index, Flags: net.FlagUp},
		PeerName:  "eth0", PeerHardwareAddr: hw, PeerNamespace: netlink.NsFd(x.ns),
	}))
	x.eth, err = x.h.LinkByName("eth0")
	must(l.t, err)
	must(l.t, x.h.LinkSetUp(x.eth))
	carries(l.t, x.h, "eth0")
	carries(l.t, l.h, port)
	return x
}

// carries waits until an end of a cable sends, and the bridge forwards what
// comes from it: some time after the cable is there, the kernel drops that.
func carries(t *testing.T, h *netlink.Handle, name string) {
	t.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(time.Millisecond) {
		link, err := h.LinkByName(name)
		must(t, err)
		if link.Attrs().OperState == netlink.OperUp {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s has no carrier after %v", name, soon)
		}
	}
}

func newNS(t *testing.T) (netns.NsHandle, *netlink.Handle) {
	t.Helper()
	type result struct {
		ns  netns.NsHandle
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := netns.New()
		made <- result{ns, err}
	}()
	r := <-made
	must(t, r.err)
	t.Cleanup(func() { r.ns.Close() })
	h, err := netlink.NewHandleAt(r.ns)
	must(t, err)
	t.Cleanup(h.Close)
	return r.ns, h
}

// do runs f in the namespace of the host.
func (x *host) do(f func() error) {
	x.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(x.ns)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	must(x.t, <-done)
}

func (x *host) add(p netip.Prefix) {
	x.t.Helper()
	must(x.t, x.h.AddrAdd(x.eth, netlinkAddr(p)))
}

func (x *host) remove(p netip.Prefix) {
	x.t.Helper()
	must(x.t, x.h.AddrDel(x.eth, netlinkAddr(p)))
}

func netlinkAddr(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}}
}

func (x *host) arp() *ARP {
	x.t.Helper()
	var a *ARP
	x.do(func() (err error) { a, err = OpenARP("eth0"); return err })
	x.t.Cleanup(func() { a.Close() })
	return a
}

func (x *host) dhcp() *DHCP {
	x.t.Helper()
	var d *DHCP
	x.do(func() (err error) { d, err = OpenDHCP("eth0"); return err })
	x.t.Cleanup(func() { d.Close() })
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
