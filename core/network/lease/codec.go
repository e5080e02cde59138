package lease

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/g8os/g8os/core/network"
)

// maxMessage is what we say we can take in (option 57): an Ethernet frame's
// worth, so that a server need not leave options out.
const maxMessage = 1472

// asksFor is the parameter request list (option 55). RFC 3442 wants 121 before 3.
var asksFor = []dhcpv4.OptionCode{
	dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter,
	dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionIPAddressLeaseTime,
	dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue, dhcpv4.OptionServerIdentifier,
}

// Encode returns the payload of a UDP datagram. It fails on a MAC address that
// is none.
func Encode(m Message) ([]byte, error) {
	mac, err := net.ParseMAC(m.MAC)
	if err != nil {
		return nil, fmt.Errorf("encoding DHCP %v: %w", m.Type, err)
	}
	p := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: 1, ClientHWAddr: mac, NumSeconds: m.Secs,
		ClientIPAddr: slice(m.ClientIP), YourIPAddr: slice(m.YourIP),
		ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero,
		Options: dhcpv4.Options{},
	}
	binary.BigEndian.PutUint32(p.TransactionID[:], m.XID)
	p.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageType(m.Type)))
	switch m.Type {
	case Offer, Ack, Nak:
		p.OpCode = dhcpv4.OpcodeBootReply
	case Discover, Request:
		p.UpdateOption(dhcpv4.OptParameterRequestList(asksFor...))
		p.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
	}
	encodeIdentity(p, m)
	encodeOffer(p, m)
	return p.ToBytes(), nil
}

// encodeIdentity writes who is talking about which address.
func encodeIdentity(p *dhcpv4.DHCPv4, m Message) {
	if len(m.ClientID) > 0 {
		p.UpdateOption(dhcpv4.OptClientIdentifier(m.ClientID))
	}
	if m.Hostname != "" {
		p.UpdateOption(dhcpv4.OptHostName(m.Hostname))
	}
	if m.Asked.IsValid() {
		p.UpdateOption(dhcpv4.OptRequestedIPAddress(slice(m.Asked)))
	}
	if m.ServerID.IsValid() {
		p.UpdateOption(dhcpv4.OptServerIdentifier(slice(m.ServerID)))
	}
	if m.Text != "" {
		p.UpdateOption(dhcpv4.OptMessage(m.Text))
	}
}

// encodeOffer writes what a server gives.
func encodeOffer(p *dhcpv4.DHCPv4, m Message) {
	if m.Bits > 0 {
		p.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(m.Bits, 32)))
	}
	if len(m.Routers) > 0 {
		p.UpdateOption(dhcpv4.OptRouter(slices4(m.Routers)...))
	}
	if len(m.DNS) > 0 {
		p.UpdateOption(dhcpv4.OptDNS(slices4(m.DNS)...))
	}
	if len(m.Routes) > 0 {
		p.UpdateOption(dhcpv4.OptClasslessStaticRoute(routesOut(m.Routes)...))
	}
	if m.MTU > 0 {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, binary.BigEndian.AppendUint16(nil, uint16(m.MTU))))
	}
	for _, d := range []struct {
		time   time.Duration
		option func(time.Duration) dhcpv4.Option
	}{{m.Lease, dhcpv4.OptIPAddressLeaseTime}, {m.T1, dhcpv4.OptRenewTimeValue}, {m.T2, dhcpv4.OptRebindingTimeValue}} {
		if d.time > 0 {
			p.UpdateOption(d.option(d.time))
		}
	}
}

// Decode reads the payload of a UDP datagram. What makes no sense in an option
// counts as absent: whether the rest will do is for Client to say.
func Decode(b []byte) (Message, error) {
	p, err := dhcpv4.FromBytes(b)
	if err != nil {
		return Message{}, fmt.Errorf("decoding DHCP message of %d bytes: %w", len(b), err)
	}
	if p.HWType != 1 || len(p.ClientHWAddr) != 6 {
		return Message{}, fmt.Errorf("decoding DHCP message: hardware type %d with an address of %d bytes, want Ethernet", p.HWType, len(p.ClientHWAddr))
	}
	if p.MessageType() == dhcpv4.MessageTypeNone {
		return Message{}, fmt.Errorf("decoding DHCP message: no message type (option 53): BOOTP")
	}
	return Message{
		Type: Type(p.MessageType()), XID: binary.BigEndian.Uint32(p.TransactionID[:]),
		MAC: p.ClientHWAddr.String(), Secs: p.NumSeconds,
		ClientIP: addr(p.ClientIPAddr), YourIP: addr(p.YourIPAddr),
		ClientID: p.Options.Get(dhcpv4.OptionClientIdentifier), Hostname: p.HostName(),
		Asked: addr(p.RequestedIPAddress()), ServerID: addr(p.ServerIdentifier()), Text: p.Message(),
		Bits: maskBits(p.SubnetMask()), Routers: addrs(p.Router()), DNS: addrs(p.DNS()),
		Routes: routesIn(p.ClasslessStaticRoute()), MTU: int(number(p, dhcpv4.OptionInterfaceMTU, 2)),
		Lease: seconds(p, dhcpv4.OptionIPAddressLeaseTime),
		T1:    seconds(p, dhcpv4.OptionRenewTimeValue), T2: seconds(p, dhcpv4.OptionRebindingTimeValue),
	}, nil
}

func number(p *dhcpv4.DHCPv4, code dhcpv4.OptionCode, size int) (n uint32) {
	b := p.Options.Get(code)
	if len(b) != size {
		return 0
	}
	for _, x := range b {
		n = n<<8 | uint32(x)
	}
	return n
}

func seconds(p *dhcpv4.DHCPv4, code dhcpv4.OptionCode) time.Duration {
	return time.Duration(number(p, code, 4)) * time.Second
}

// maskBits is 0 for a mask that is absent or has holes.
func maskBits(m net.IPMask) int {
	bits, _ := m.Size()
	return bits
}

// addr is the zero Addr for none and for 0.0.0.0.
func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip.To4())
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

func addrs(ips []net.IP) (out []netip.Addr) {
	for _, ip := range ips {
		if a := addr(ip); a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

func slice(a netip.Addr) net.IP {
	if !a.Is4() {
		return net.IPv4zero.To4()
	}
	return a.AsSlice()
}

func slices4(in []netip.Addr) (out []net.IP) {
	for _, a := range in {
		out = append(out, slice(a))
	}
	return out
}

func routesIn(in dhcpv4.Routes) (out []network.Route) {
	for _, r := range in {
		to, ok := netip.AddrFromSlice(r.Dest.IP.To4())
		if bits, _ := r.Dest.Mask.Size(); ok {
			out = append(out, network.Route{To: netip.PrefixFrom(to, bits).Masked(), Via: addr(r.Router)})
		}
	}
	return out
}

func routesOut(in []network.Route) (out []*dhcpv4.Route) {
	for _, r := range in {
		dest := &net.IPNet{IP: slice(r.To.Addr()), Mask: net.CIDRMask(r.To.Bits(), 32)}
		out = append(out, &dhcpv4.Route{Dest: dest, Router: slice(r.Via)})
	}
	return out
}
