package find

import (
	"bufio"
	"encoding/binary"
	"io"
)

// gathered writes frames of a WebSocket (RFC 6455, section 5.2) in as few pieces
// as TLS has records: a client masks what it sends in pieces of 4 KiB, and each
// would be a record, a packet and a wake-up of its own. What is written at the
// end of a frame is sent.
type gathered struct {
	out  *bufio.Writer
	head []byte // of the frame that is written, as far as it is known
	left uint64 // bytes of it that are to come after its head
}

// record is the most that one record of TLS carries (RFC 8446, section 5.1).
const record = 16 << 10

func newGathered(w io.Writer) *gathered { return &gathered{out: bufio.NewWriterSize(w, record)} }

func (g *gathered) Write(b []byte) (int, error) {
	n, err := g.out.Write(b)
	if g.pass(b) && err == nil {
		err = g.out.Flush()
	}
	return n, err
}

// pass follows the frames, and says whether one ends with b.
func (g *gathered) pass(b []byte) (end bool) {
	for len(b) > 0 {
		if g.left > 0 {
			n := min(g.left, uint64(len(b)))
			g.left, b = g.left-n, b[n:]
		} else {
			g.head, b = append(g.head, b[0]), b[1:]
			size, whole := frameSize(g.head)
			if !whole {
				continue
			}
			g.left, g.head = size, g.head[:0]
		}
	}
	return g.left == 0 && len(g.head) == 0
}

// frameSize is how much follows the head of a frame, once that is whole.
func frameSize(head []byte) (size uint64, whole bool) {
	if len(head) < 2 {
		return 0, false
	}
	long, size := 0, uint64(head[1]&0x7f)
	switch size {
	case 126:
		long = 2
	case 127:
		long = 8
	}
	key := 0
	if head[1]&0x80 != 0 {
		key = 4
	}
	if len(head) < 2+long+key {
		return 0, false
	}
	if long > 0 {
		var b [8]byte
		copy(b[8-long:], head[2:2+long])
		size = binary.BigEndian.Uint64(b[:])
	}
	return size, true
}
