package wire

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
)

var (
	accept = bpf.RetConstant{Val: 1 << 16}
	drop   = bpf.RetConstant{Val: 0}
)

// unless drops the packet when what was loaded is not val.
func unless(val uint32) []bpf.Instruction {
	return []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpEqual, Val: val, SkipTrue: 1}, drop}
}

func program(parts ...[]bpf.Instruction) (out []bpf.Instruction) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func one(i bpf.Instruction) []bpf.Instruction { return []bpf.Instruction{i} }

func arpFilterAll(net.HardwareAddr) []bpf.Instruction {
	return arpFilter([]netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)})
}

// arpFilter takes ARP for IPv4 on Ethernet whose sender or target is in one of
// the prefixes.
func arpFilter(prefixes []netip.Prefix) []bpf.Instruction {
	prog := program(
		one(bpf.LoadAbsolute{Off: 0, Size: 4}), unless(0x00010800),
		one(bpf.LoadAbsolute{Off: 4, Size: 2}), unless(0x0604),
	)
	for _, offset := range []uint32{14, 24} {
		for _, p := range prefixes {
			if !p.Addr().Is4() {
				continue
			}
			prefix := p.Masked().Addr().As4()
			prog = append(prog,
				bpf.LoadAbsolute{Off: offset, Size: 4},
				bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: uint32(uint64(0xffffffff) << (32 - p.Bits()))},
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(prefix[:]), SkipTrue: 1},
				accept)
		}
	}
	return append(prog, drop)
}

// dhcpFilter takes whole UDP datagrams to port 68 that hold a BOOTREPLY for
// this MAC (RFC 2131, figure 1): those of other clients are broadcast, too.
func dhcpFilter(mac net.HardwareAddr) []bpf.Instruction {
	const udp = 8 // length of a UDP header
	return program(
		one(bpf.LoadAbsolute{Off: 9, Size: 1}), unless(17), // UDP
		one(bpf.LoadAbsolute{Off: 6, Size: 2}),
		one(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x3fff}), unless(0), // no fragment
		one(bpf.LoadMemShift{Off: 0}), // X: length of the IP header
		one(bpf.LoadIndirect{Off: 2, Size: 2}), unless(clientPort),
		one(bpf.LoadIndirect{Off: udp, Size: 1}), unless(2), // BOOTREPLY
		one(bpf.LoadIndirect{Off: udp + 28, Size: 4}), unless(binary.BigEndian.Uint32(mac)),
		one(bpf.LoadIndirect{Off: udp + 32, Size: 2}), unless(uint32(binary.BigEndian.Uint16(mac[4:]))),
		one(accept),
	)
}
