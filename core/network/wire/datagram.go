package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// The ports of DHCP (RFC 2131, 4.1).
const (
	serverPort = 67
	clientPort = 68
)

const (
	ipLen  = 20 // IPv4 header without options
	udpLen = 8
)

// encodeDatagram wraps a payload from client to server port into UDP and IPv4
// (RFC 768, RFC 791).
func encodeDatagram(from, to netip.Addr, payload []byte) []byte {
	b := make([]byte, ipLen+udpLen, ipLen+udpLen+len(payload))
	b = append(b, payload...)
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[8], b[9] = 64, 17 // time to live, UDP
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], ^fold(sum(b[:ipLen])))

	u := b[ipLen:]
	binary.BigEndian.PutUint16(u, clientPort)
	binary.BigEndian.PutUint16(u[2:], serverPort)
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	check := ^fold(pseudo(b, len(u)) + sum(u))
	if check == 0 {
		check = 0xffff // zero says that there is none
	}
	binary.BigEndian.PutUint16(u[6:], check)
	return b
}

// decodeDatagram returns the payload of a UDP datagram in an IPv4 packet.
//
// A packet socket also sees packets whose UDP checksum their sender left to a
// network card that never came: on veth and tap the field then holds the sum
// of the pseudo header only. These are taken, too: they crossed no cable.
func decodeDatagram(b []byte) ([]byte, error) {
	if len(b) < ipLen || b[0]>>4 != 4 {
		return nil, errors.New("not IPv4")
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < ipLen || total < head+udpLen || total > len(b) || b[9] != 17 {
		return nil, errors.New("not a whole UDP datagram")
	}
	if fold(sum(b[:head])) != 0xffff {
		return nil, errors.New("wrong checksum of the IP header")
	}
	u := b[head:total]
	size := int(binary.BigEndian.Uint16(u[4:]))
	if size < udpLen || size > len(u) {
		return nil, errors.New("wrong length in the UDP header")
	}
	u = u[:size]
	check := binary.BigEndian.Uint16(u[6:])
	if check != 0 && fold(pseudo(b, size)+sum(u)) != 0xffff && check != fold(pseudo(b, size)) {
		return nil, errors.New("wrong UDP checksum")
	}
	return u[udpLen:], nil
}

// pseudo is the sum of the UDP pseudo header: addresses, protocol and length.
func pseudo(ip []byte, size int) uint32 { return sum(ip[12:20]) + 17 + uint32(size) }

// sum adds up 16-bit words (RFC 1071); fold makes it a ones' complement sum.
func sum(b []byte) (s uint32) {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
