package carrier

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The frames of yamux (its spec.md): version, type, flags, stream, length.
const (
	headSize = 12

	version                        = 0
	typeData, typePing, typeGoAway = 0, 2, 3
	flagSYN                        = 1
)

// guard follows the frames of a peer and refuses those that an honest one does
// not send: yamux answers a ping with a goroutine of its own, and keeps what is
// sent on a stream that nobody accepts.
type guard struct {
	opens bool // the peer may open streams
	head  [headSize]byte
	have  int   // bytes of head
	skip  int64 // bytes of a body that come first
}

func (g *guard) look(b []byte) error {
	for len(b) > 0 {
		if g.skip > 0 {
			n := min(int64(len(b)), g.skip)
			b, g.skip = b[n:], g.skip-n
			continue
		}
		n := copy(g.head[g.have:], b)
		b, g.have = b[n:], g.have+n
		if g.have < headSize {
			return nil
		}
		g.have = 0
		if err := g.frame(); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) frame() error {
	kind, flags := g.head[1], binary.BigEndian.Uint16(g.head[2:])
	length := binary.BigEndian.Uint32(g.head[8:])
	switch {
	case g.head[0] != version || kind > typeGoAway:
		return fmt.Errorf("the other side sends what is no frame: %x", g.head)
	case kind == typePing:
		return errors.New("the other side sends pings, which are not for here")
	case kind != typeData:
		length = 0
	case length > window:
		return fmt.Errorf("the other side sends a frame of %d bytes, at most %d are possible", length, window)
	}
	if flags&flagSYN != 0 && !g.opens {
		return errors.New("the other side opens a stream, which is not its to do")
	}
	g.skip = int64(length)
	return nil
}
