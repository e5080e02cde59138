// Package lease is a DHCP client for one interface: RFC 2131 as a step
// function, and the codec of its messages.
//
// Client decides: the caller hands in the messages it heard and the time, asks
// Next when to call Tick, and performs the effects that come back, in their
// order. It tries for ever, with growing pauses; how long to wait for a first
// lease is the caller's business. It promises that an address is never in use
// past its lease: Lost comes at the latest when it expires.
//
// It is not a DHCPv6 client, and it does not probe the address it got: package
// conflict does, and the caller calls Decline when it is taken.
package lease

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/g8os/g8os/core/network"
)

// Type is the DHCP message type (RFC 2132, 9.6).
type Type uint8

// The types a client speaks and hears.
const (
	Discover Type = 1
	Offer    Type = 2
	Request  Type = 3
	Decline  Type = 4
	Ack      Type = 5
	Nak      Type = 6
	Release  Type = 7
)

func (t Type) String() string {
	names := [...]string{"?", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("DHCP message type %d", uint8(t))
}

// Message is a DHCP message, as far as a client cares. Absent fields are zero.
type Message struct {
	Type     Type
	XID      uint32          // of the transaction
	MAC      string          // chaddr, canonical
	Secs     uint16          // seconds since the client began
	ClientIP netip.Addr      // ciaddr: what the client has and answers on
	YourIP   netip.Addr      // yiaddr: what the server gives
	ClientID []byte          // option 61, type byte included
	Hostname string          // option 12
	Asked    netip.Addr      // option 50, requested address
	ServerID netip.Addr      // option 54
	Text     string          // option 56: why a NAK or DECLINE
	Bits     int             // option 1, the subnet mask as prefix length
	Routers  []netip.Addr    // option 3
	DNS      []netip.Addr    // option 6
	Routes   []network.Route // option 121 (RFC 3442); Via is zero for "on the link"
	MTU      int             // option 26, bytes
	Lease    time.Duration   // option 51; Infinite for ever
	T1, T2   time.Duration   // options 58, 59
}

// Infinite is the lease time that never ends (RFC 2131, 3.3).
const Infinite = 0xffffffff * time.Second

// String names what was sent, for logs and transcripts.
func (m Message) String() string {
	s := fmt.Sprintf("%v xid %08x", m.Type, m.XID)
	for _, f := range []struct {
		name string
		addr netip.Addr
	}{{"asks", m.Asked}, {"has", m.ClientIP}, {"gives", m.YourIP}, {"server", m.ServerID}} {
		if f.addr.IsValid() {
			s += " " + f.name + " " + f.addr.String()
		}
	}
	if m.Lease != 0 {
		s += " for " + m.Lease.String()
	}
	if m.Text != "" {
		s += fmt.Sprintf(" %q", m.Text)
	}
	return s
}
