package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/g8os/g8os/core/network/conflict"
)

// arpLen is the length of an ARP packet for IPv4 on Ethernet (RFC 826):
//
//	0 hardware 1 | 2 protocol 0800 | 4 length 6 | 5 length 4 | 6 operation
//	8 sender MAC | 14 sender IP | 18 target MAC | 24 target IP
const arpLen = 28

// minPayload fills up an Ethernet frame to 60 bytes: switches in software do
// not pad, and hardware drops runts.
const minPayload = 46

var arpHead = [6]byte{0, 1, 8, 0, 6, 4}

func encodeARP(p conflict.Packet) ([]byte, error) {
	if !p.SenderIP.Is4() || !p.TargetIP.Is4() {
		return nil, errors.New("both addresses must be IPv4")
	}
	b := make([]byte, minPayload)
	copy(b, arpHead[:])
	binary.BigEndian.PutUint16(b[6:], uint16(p.Op))
	if err := putMAC(b[8:], p.SenderMAC); err != nil {
		return nil, err
	}
	copy(b[14:], p.SenderIP.AsSlice())
	if p.TargetMAC != "" {
		if err := putMAC(b[18:], p.TargetMAC); err != nil {
			return nil, err
		}
	}
	copy(b[24:], p.TargetIP.AsSlice())
	return b, nil
}

func putMAC(b []byte, mac string) error {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return fmt.Errorf("%q is no MAC address", mac)
	}
	copy(b, hw)
	return nil
}

func decodeARP(b []byte) (conflict.Packet, error) {
	if len(b) < arpLen || [6]byte(b[:6]) != arpHead {
		return conflict.Packet{}, errors.New("not ARP for IPv4 on Ethernet")
	}
	p := conflict.Packet{
		Op:        conflict.Op(binary.BigEndian.Uint16(b[6:])),
		SenderMAC: net.HardwareAddr(b[8:14]).String(),
		SenderIP:  netip.AddrFrom4([4]byte(b[14:18])),
		TargetIP:  netip.AddrFrom4([4]byte(b[24:28])),
	}
	if [6]byte(b[18:24]) != [6]byte{} {
		p.TargetMAC = net.HardwareAddr(b[18:24]).String()
	}
	if p.Op != conflict.Request && p.Op != conflict.Reply {
		return conflict.Packet{}, fmt.Errorf("ARP operation %d", p.Op)
	}
	return p, nil
}
