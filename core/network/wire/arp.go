package wire

import (
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network/conflict"
)

// ARP is a socket for ARP on one interface.
type ARP struct {
	s       *socket
	packets <-chan conflict.Packet
}

// OpenARP opens it. All ARP for IPv4 is heard until Watch narrows it.
func OpenARP(ifname string) (*ARP, error) {
	s, err := openSocket(ifname, unix.ETH_P_ARP, arpFilterAll)
	if err != nil {
		return nil, err
	}
	own := s.mac.String()
	return &ARP{s: s, packets: start(s, func(b []byte) (conflict.Packet, bool) {
		p, err := decodeARP(b)
		return p, err == nil && p.SenderMAC != own
	})}, nil
}

// Watch makes the kernel drop all packets that are neither from nor for an
// address in the prefixes; without prefixes, none.
func (a *ARP) Watch(prefixes ...netip.Prefix) error {
	prog, err := bpf.Assemble(arpFilter(prefixes))
	if err == nil {
		err = a.s.conn.SetBPF(prog)
	}
	if err != nil {
		return fmt.Errorf("watching ARP on %s for %v: %w", a.s.name, prefixes, err)
	}
	return nil
}

// Send broadcasts a packet. It fails while the link is down.
func (a *ARP) Send(p conflict.Packet) error {
	b, err := encodeARP(p)
	if err == nil {
		err = a.s.broadcast(b)
	}
	if err != nil {
		return fmt.Errorf("sending ARP %v on %s: %w", p, a.s.name, err)
	}
	return nil
}

// Packets are the ones heard, those of other machines only. It is closed when
// the socket is.
func (a *ARP) Packets() <-chan conflict.Packet { return a.packets }

// Err says why Packets was closed; nil after Close.
func (a *ARP) Err() error { return a.s.cause() }

// Close ends it; it may be called again.
func (a *ARP) Close() error { return a.s.close() }
