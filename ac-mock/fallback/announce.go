package fallback

import (
	"bytes"
	"fmt"
	"io"
	"net"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"github.com/g8os/g8os/core/api"
)

const (
	etherTypeARP = 0x0806
	minFrame     = 60 // shortest Ethernet frame without its check sum
)

// announce sends a gratuitous ARP request (RFC 5227, section 2.3), so that
// nodes that knew another holder of the address turn to us.
func announce(link netlink.Link) error {
	mac := link.Attrs().HardwareAddr
	if len(mac) != 6 {
		return nil // not Ethernet: there is no ARP to announce with
	}
	ifi := &net.Interface{Index: link.Attrs().Index, Name: link.Attrs().Name, HardwareAddr: mac}
	c, err := packet.Listen(ifi, packet.Raw, etherTypeARP, nil)
	if err != nil {
		return fmt.Errorf("announce on %s: %w", ifi.Name, err)
	}
	defer c.Close()
	frame := announcement(mac, net.ParseIP(api.FallbackAddress).To4())
	if _, err := c.WriteTo(frame, &packet.Addr{HardwareAddr: broadcast}); err != nil {
		return fmt.Errorf("announce on %s: %w", ifi.Name, err)
	}
	return nil
}

// listen hears who else announces the address on an interface, until the
// returned connection is closed.
func (h *Holder) listen(link netlink.Link) (io.Closer, error) {
	ifi := &net.Interface{Index: link.Attrs().Index, Name: link.Attrs().Name, HardwareAddr: link.Attrs().HardwareAddr}
	c, err := packet.Listen(ifi, packet.Raw, etherTypeARP, nil)
	if err != nil {
		return nil, fmt.Errorf("listen for ARP on %s: %w", ifi.Name, err)
	}
	go func() {
		frame := make([]byte, 1514)
		for {
			n, _, err := c.ReadFrom(frame)
			if err != nil {
				return
			}
			if foreign(frame[:n], ifi.HardwareAddr) && h.opt.Heard(ifi.Name) {
				select {
				case h.defend <- ifi.Name:
				default: // it is announced already
				}
			}
		}
	}()
	return c, nil
}

// foreign says whether an ARP frame is of somebody else who has the address.
func foreign(f []byte, own net.HardwareAddr) bool {
	const senderMAC, senderIP, end = 22, 28, 32
	return len(f) >= end && net.IP(f[senderIP:end]).Equal(net.ParseIP(api.FallbackAddress)) && !bytes.Equal(f[senderMAC:senderIP], own)
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// announcement is the frame: an ARP request in which sender and target are
// the same address.
func announcement(mac net.HardwareAddr, ip net.IP) []byte {
	f := make([]byte, 0, minFrame)
	f = append(f, broadcast...)
	f = append(f, mac...)
	f = append(f, 0x08, 0x06) // ARP
	f = append(f, 0, 1, 0x08, 0, 6, 4, 0, 1)
	f = append(f, mac...)
	f = append(f, ip...)
	f = append(f, make([]byte, 6)...)
	f = append(f, ip...)
	return f[:minFrame]
}
