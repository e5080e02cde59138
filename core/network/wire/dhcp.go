package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network/lease"
)

// DHCP is the client's side of DHCP on one interface.
//
// Broadcasts, and all that is heard, go through a packet socket: the interface
// has no address yet, or the wrong one. Unicasts go through a UDP socket from
// the leased address, so that the kernel finds the way and asks for the MAC;
// it is never read, but keeps the kernel from answering the server's replies
// with "port unreachable".
type DHCP struct {
	s        *socket
	udp      *ipv4.PacketConn
	messages <-chan lease.Message
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// OpenDHCP opens it. It fails when another DHCP client holds the port on the
// interface.
func OpenDHCP(ifname string) (*DHCP, error) {
	s, err := openSocket(ifname, unix.ETH_P_IP, dhcpFilter)
	if err != nil {
		return nil, err
	}
	udp, err := openUDP(ifname)
	if err != nil {
		s.close()
		return nil, err
	}
	return &DHCP{s: s, udp: udp, messages: start(s, decodeMessage)}, nil
}

func decodeMessage(b []byte) (lease.Message, bool) {
	payload, err := decodeDatagram(b)
	if err != nil {
		return lease.Message{}, false
	}
	m, err := lease.Decode(payload)
	return m, err == nil
}

// openUDP opens the socket for unicasts. Its filter drops all that comes in.
func openUDP(ifname string) (*ipv4.PacketConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = bindUDP(int(fd), ifname) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := config.ListenPacket(context.Background(), "udp4", fmt.Sprintf(":%d", clientPort))
	if err != nil {
		return nil, fmt.Errorf("opening UDP port %d on %s (is there another DHCP client?): %w", clientPort, ifname, err)
	}
	return ipv4.NewPacketConn(conn), nil
}

func bindUDP(fd int, ifname string) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.BindToDevice(fd, ifname); err != nil {
		return err
	}
	deny, err := bpf.Assemble(one(drop))
	if err != nil {
		return err
	}
	code := unix.SockFilter{Code: deny[0].Op, Jt: deny[0].Jt, Jf: deny[0].Jf, K: deny[0].K}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &code})
}

// Send sends as the effect says. It fails while the link is down.
func (d *DHCP) Send(e lease.Send) error {
	b, err := lease.Encode(e.Message)
	if err != nil {
		return err
	}
	if e.To.IsValid() {
		_, err = d.udp.WriteTo(b, &ipv4.ControlMessage{Src: e.From.AsSlice()}, &net.UDPAddr{IP: e.To.AsSlice(), Port: serverPort})
	} else {
		from := e.From
		if !from.Is4() {
			from = netip.IPv4Unspecified()
		}
		err = d.s.broadcast(encodeDatagram(from, limitedBroadcast, b))
	}
	if err != nil {
		return fmt.Errorf("sending DHCP %v on %s: %w", e.Message, d.s.name, err)
	}
	return nil
}

// Messages are what servers sent to this client. It is closed when the socket is.
func (d *DHCP) Messages() <-chan lease.Message { return d.messages }

// Err says why Messages was closed; nil after Close.
func (d *DHCP) Err() error { return d.s.cause() }

// Close ends it; it may be called again.
func (d *DHCP) Close() error {
	d.udp.Close()
	return d.s.close()
}
