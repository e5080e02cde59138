// Package decide is a DHCP server as a step function: RFC 2131, section 4.3,
// for the clients of one segment, but for what its mode gets wrong.
//
// It promises that the same messages at the same times get the same answers,
// and that an address is never given to two clients at a time, but in the mode
// that is for that. It does not wait, not even where its mode says so, and it
// speaks to no relay.
package decide

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Scope is what a server hands out.
type Scope struct {
	Server      netip.Addr   // its own address and server identifier
	Net         netip.Prefix // the mask that goes with the addresses
	First, Last netip.Addr   // the pool, both ends included
	Router      netip.Addr   // zero: none
	DNS         []netip.Addr
	Lease       time.Duration // at least a second; T1 and T2 are half and seven eighths of it
	Nowhere     netip.Prefix  // what mode nowhere hands out; zero: 198.51.100.0/24
}

// Server decides: a message in, an answer out, or none.
type Server struct {
	scope  Scope
	mode   Mode
	leases *leases
}

// New makes a server whose addresses are all free. It fails when the scope
// makes no sense.
func New(scope Scope, mode Mode) (*Server, error) {
	if err := check(scope); err != nil {
		return nil, err
	}
	if !scope.Nowhere.IsValid() {
		scope.Nowhere = netip.MustParsePrefix("198.51.100.0/24") // RFC 5737: nobody's
	}
	return &Server{scope: scope, mode: mode, leases: newLeases(scope.First, scope.Last)}, nil
}

func check(s Scope) error {
	if !s.Server.Is4() || !s.First.Is4() || !s.Last.Is4() || !s.Net.IsValid() {
		return fmt.Errorf("DHCP scope %+v: want IPv4 addresses for server, pool and network", s)
	}
	if s.Last.Less(s.First) || s.Lease < time.Second {
		return fmt.Errorf("DHCP pool %s-%s for %s: want first ≤ last, and a lease of a second at least", s.First, s.Last, s.Lease)
	}
	return nil
}

// Mode is how the server behaves now. Its Delay is the caller's to wait.
func (s *Server) Mode() Mode { return s.mode }

// SetMode makes the server behave otherwise from the next message on.
func (s *Server) SetMode(m Mode) { s.mode = m }

// Answer returns the reply to a message, nil for none, as RFC 2131 section 4.3
// has it, but for what the mode gets wrong.
func (s *Server) Answer(m *dhcpv4.DHCPv4, now time.Time) (*dhcpv4.DHCPv4, error) {
	if id := m.ServerIdentifier(); id != nil && !id.Equal(s.scope.Server.AsSlice()) {
		return nil, nil // it has chosen another server
	}
	if s.mode.Name == "silent" {
		return nil, nil
	}
	client := "MAC " + string(m.ClientHWAddr) // never empty
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return s.offer(m, client, now)
	case dhcpv4.MessageTypeRequest:
		return s.request(m, client, now)
	case dhcpv4.MessageTypeDecline:
		s.leases.decline(requested(m))
	case dhcpv4.MessageTypeRelease:
		s.leases.release(addr(m.ClientIPAddr), client)
	}
	return nil, nil
}

func (s *Server) offer(m *dhcpv4.DHCPv4, client string, now time.Time) (*dhcpv4.DHCPv4, error) {
	a, ok := s.leases.pick(client, requested(m), now)
	switch s.mode.Name {
	case "exhausted":
		return nil, nil
	case "in-use":
		a, ok = s.mode.Taken, true
	}
	if !ok {
		return nil, nil
	}
	return s.reply(m, dhcpv4.MessageTypeOffer, a)
}

func (s *Server) request(m *dhcpv4.DHCPv4, client string, now time.Time) (*dhcpv4.DHCPv4, error) {
	renewal := !m.ClientIPAddr.IsUnspecified() // RENEWING or REBINDING
	switch mode := s.mode.Name; {
	case mode == "offer-only", mode == "no-renew" && renewal:
		return nil, nil
	case mode == "nak", mode == "exhausted", mode == "nak-renew" && renewal:
		return s.nak(m)
	}
	a := requested(m)
	if renewal {
		a = addr(m.ClientIPAddr)
	}
	switch s.mode.Name {
	case "nowhere": // hands out addresses of its own
		a = s.back(a)
	case "in-use":
		return s.reply(m, dhcpv4.MessageTypeAck, a)
	}
	if !s.leases.free(a, client, now) {
		return s.nak(m)
	}
	s.leases.grant(a, client, now.Add(s.scope.Lease))
	return s.reply(m, dhcpv4.MessageTypeAck, a)
}

func (s *Server) nak(m *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, error) {
	return dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(s.scope.Server.AsSlice())))
}

func (s *Server) reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, a netip.Addr) (*dhcpv4.DHCPv4, error) {
	network, router, dns := s.scope.Net, s.scope.Router, s.scope.DNS
	switch s.mode.Name {
	case "nowhere":
		network = s.scope.Nowhere
		a, router = s.away(a), network.Addr().Next()
		dns = []netip.Addr{router}
	case "wrong-subnet":
		network, router = netip.PrefixFrom(a, 32), s.scope.Nowhere.Addr().Next()
	}
	options := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithYourIP(a.AsSlice()),
		dhcpv4.WithServerIP(s.scope.Server.AsSlice()),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(s.scope.Server.AsSlice())),
		dhcpv4.WithNetmask(net.CIDRMask(network.Bits(), 32)),
		dhcpv4.WithOption(dhcpv4.OptIPAddressLeaseTime(s.scope.Lease)),
		dhcpv4.WithOption(dhcpv4.OptRenewTimeValue(s.scope.Lease / 2)),
		dhcpv4.WithOption(dhcpv4.OptRebindingTimeValue(s.scope.Lease * 7 / 8)),
	}
	if router.IsValid() {
		options = append(options, dhcpv4.WithRouter(router.AsSlice()))
	}
	for _, d := range dns {
		options = append(options, dhcpv4.WithDNS(d.AsSlice()))
	}
	return dhcpv4.NewReplyFromRequest(m, options...)
}

// away and back translate an address of the pool to one of the network that
// leads nowhere: the last byte stays.
func (s *Server) away(a netip.Addr) netip.Addr { return swap(s.scope.Nowhere.Addr(), a) }
func (s *Server) back(a netip.Addr) netip.Addr { return swap(s.scope.First, a) }

func swap(network, host netip.Addr) netip.Addr {
	if !host.Is4() {
		return netip.Addr{}
	}
	b := network.As4()
	b[3] = host.As4()[3]
	return netip.AddrFrom4(b)
}

func requested(m *dhcpv4.DHCPv4) netip.Addr { return addr(m.RequestedIPAddress()) }

// addr is the zero Addr for no address.
func addr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
