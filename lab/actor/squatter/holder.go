package squatter

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/mdlayher/arp"
)

// holder decides: which addresses are held, and what to answer to a packet.
type holder struct {
	mac   net.HardwareAddr
	held  Addresses
	freed Addresses // given up again, or never held
	yield bool      // does not insist when somebody else announces
}

// seen is a packet in the words of RFC 5227.
type seen struct {
	kind    string // probe | announce | request | reply
	address netip.Addr
	from    net.HardwareAddr
}

// hear says what a packet is and what to answer to it; nil for nothing.
func (h *holder) hear(p *arp.Packet) (seen, *arp.Packet) {
	s := classify(p)
	if string(s.from) == string(h.mac) || !h.has(s.address) {
		return s, nil
	}
	switch s.kind {
	case "probe", "request":
		return s, h.reply(s.address, p.SenderHardwareAddr, p.SenderIP)
	case "announce":
		if h.yield {
			h.freed = append(h.freed, span{s.address, s.address})
			return s, nil
		}
		return s, h.announce(s.address) // RFC 5227, section 2.4 (c): it defends
	}
	return s, nil
}

// classify follows RFC 5227, section 1.1: a probe asks for an address and has
// no sender address, an announcement asks for its own.
func classify(p *arp.Packet) seen {
	s := seen{kind: "request", address: p.TargetIP, from: p.SenderHardwareAddr}
	switch {
	case p.Operation == arp.OperationReply && p.SenderIP != p.TargetIP:
		s.kind, s.address = "reply", p.SenderIP
	case p.SenderIP == p.TargetIP:
		s.kind = "announce"
	case p.SenderIP == netip.IPv4Unspecified():
		s.kind = "probe"
	}
	return s
}

func (h *holder) has(a netip.Addr) bool { return h.held.Has(a) && !h.freed.Has(a) }

func (h *holder) reply(a netip.Addr, to net.HardwareAddr, toIP netip.Addr) *arp.Packet {
	return h.packet(arp.OperationReply, a, to, toIP)
}

// announce also takes over whatever the neighbours believed.
func (h *holder) announce(a netip.Addr) *arp.Packet {
	return h.packet(arp.OperationRequest, a, make(net.HardwareAddr, 6), a)
}

func (h *holder) packet(op arp.Operation, a netip.Addr, to net.HardwareAddr, toIP netip.Addr) *arp.Packet {
	return &arp.Packet{
		HardwareType: 1, ProtocolType: 0x0800, HardwareAddrLength: 6, IPLength: 4, Operation: op,
		SenderHardwareAddr: h.mac, SenderIP: a, TargetHardwareAddr: to, TargetIP: toIP,
	}
}

// tell carries out a line of the control socket and returns what to announce.
func (h *holder) tell(words []string) ([]*arp.Packet, error) {
	if len(words) != 2 || (words[0] != "take" && words[0] != "release") {
		return nil, fmt.Errorf("want: take ADDRESSES, or release ADDRESSES; got %q", strings.Join(words, " "))
	}
	set, err := ParseAddresses(words[1])
	if err != nil {
		return nil, err
	}
	if words[0] == "release" {
		h.freed = append(h.freed, set...)
		return nil, nil
	}
	return h.take(set), nil
}

// take holds more addresses, and announces those that were named one by one:
// announcing a whole range would be a storm.
func (h *holder) take(set Addresses) []*arp.Packet {
	h.held = append(h.held, set...)
	h.freed = subtract(h.freed, set)
	var out []*arp.Packet
	for _, s := range set {
		if s.first == s.last {
			out = append(out, h.announce(s.first))
		}
	}
	return out
}

// subtract drops the spans of from that lie wholly inside one of set.
func subtract(from, set Addresses) Addresses {
	var left Addresses
	for _, f := range from {
		inside := false
		for _, s := range set {
			inside = inside || (!f.first.Less(s.first) && !s.last.Less(f.last))
		}
		if !inside {
			left = append(left, f)
		}
	}
	return left
}
