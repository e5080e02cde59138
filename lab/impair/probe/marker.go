package probe

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net"
)

// EtherType of the frames: local experimental EtherType 1 (IEEE 802, 9.2.4).
const EtherType = 0x88B5

// marker writes frames that can be told from each other, and from those of
// other runs, with a bit flipped anywhere.
type marker struct {
	from, to net.HardwareAddr
	size     int
	run      uint64
}

// write makes frame number seq: the number three times, and bytes that follow
// from number and run.
func (m marker) write(frame []byte, seq uint32) {
	copy(frame, m.to)
	copy(frame[6:], m.from)
	binary.BigEndian.PutUint16(frame[12:], EtherType)
	for i := range 3 {
		binary.BigEndian.PutUint32(frame[header+4*i:], seq)
	}
	x := m.run ^ uint64(seq)<<32
	for i := header + 12; i < m.size; i++ {
		x = x*6364136223846793005 + 1442695040888963407 // Knuth, MMIX
		frame[i] = byte(x >> 56)
	}
}

// read says which frame it is. Two copies of the number agree in a frame with
// one bit flipped, and the rest differs from what was sent by that bit.
func (m marker) read(frame []byte) (seq uint32, damaged, ok bool) {
	if len(frame) != m.size {
		return 0, false, false
	}
	a, b, c := binary.BigEndian.Uint32(frame[header:]), binary.BigEndian.Uint32(frame[header+4:]), binary.BigEndian.Uint32(frame[header+8:])
	seq = a&b | b&c | a&c
	want := make([]byte, m.size)
	m.write(want, seq)
	if bytes.Equal(want, frame) {
		return seq, false, true
	}
	differ := 0
	for i := range want {
		differ += bits.OnesCount8(want[i] ^ frame[i])
	}
	return seq, true, differ == 1
}
