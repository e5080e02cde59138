// Package conflict takes an IPv4 address that nobody else on the segment has,
// and keeps it: RFC 5227, as step functions.
//
// Machine looks after one given address: it probes, announces and defends it.
// Claim finds itself one of the fallback addresses with the help of many
// Machines. Both are pure: the caller hands in the ARP packets it heard and the
// time, asks Next when to call Tick, and performs the effects that come back,
// in their order.
//
// The promise: Claimed comes only after nobody answered for the address, and
// after Lost it must not be used any more. It is not an ARP responder: once the
// address is on the interface, the kernel answers for it.
package conflict

import "net/netip"

// Op is what an ARP packet is (RFC 826, ar$op).
type Op uint16

// The two operations.
const (
	Request Op = 1
	Reply   Op = 2
)

func (o Op) String() string {
	switch o {
	case Request:
		return "request"
	case Reply:
		return "reply"
	}
	return "op?"
}

// Packet is an ARP packet for IPv4 on Ethernet. MAC addresses are canonical
// (api.ParseMAC); an empty TargetMAC means all zeroes.
type Packet struct {
	Op        Op
	SenderMAC string
	SenderIP  netip.Addr // 0.0.0.0 in a probe
	TargetMAC string
	TargetIP  netip.Addr
}

// IsProbe tells whether the sender only asks whether the target address is
// taken, because it wants it (RFC 5227, 1.1).
func (p Packet) IsProbe() bool {
	return p.Op == Request && p.SenderIP == netip.IPv4Unspecified()
}

func (p Packet) String() string {
	kind := p.Op.String()
	if p.IsProbe() {
		kind = "probe"
	}
	return kind + " " + p.SenderMAC + " " + p.SenderIP.String() + " for " + p.TargetIP.String()
}
