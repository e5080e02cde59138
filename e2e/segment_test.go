package e2e

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	. "github.com/onsi/ginkgo/v2"
)

// segment is the layer 2 network that all machines are on: what one sends, all
// others get. QEMU's own hub stands still for good when a frame comes while one
// of its machines does not take any yet.
//
// A QEMU that is plugged in speaks frames on a unix socket, each after its
// length in four bytes, most significant first (netdev stream).
type segment struct {
	mu    sync.Mutex
	plugs map[net.Conn]chan []byte // what is to be sent to each
}

// Bounds of a segment: the largest frame that a machine sends, with offloads,
// and how many wait for a machine that is slow; then they are lost.
const (
	largest = 1 << 17
	waiting = 512
)

// newSegment listens on a socket for each machine, until the spec's container
// has ended.
func newSegment(dir string, names ...string) *segment {
	GinkgoHelper()
	s := &segment{plugs: map[net.Conn]chan []byte{}}
	for _, name := range names {
		l, err := net.Listen("unix", port(dir, name))
		ok(err)
		DeferCleanup(func() { _ = l.Close() })
		go s.accept(l)
	}
	return s
}

func (s *segment) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		frames := make(chan []byte, waiting)
		s.mu.Lock()
		s.plugs[c] = frames
		s.mu.Unlock()
		go s.send(c, frames)
		go s.read(c)
	}
}

// read hands every frame of a machine to all others, until its QEMU ends.
func (s *segment) read(c net.Conn) {
	defer s.unplug(c)
	for {
		frame := make([]byte, 4, 4+2048)
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(frame)
		if size > largest {
			return
		}
		frame = append(frame, make([]byte, size)...)
		if _, err := io.ReadFull(c, frame[4:]); err != nil {
			return
		}
		s.mu.Lock()
		for other, frames := range s.plugs {
			if other == c {
				continue
			}
			select {
			case frames <- frame:
			default: // as a switch does
			}
		}
		s.mu.Unlock()
	}
}

func (s *segment) unplug(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.plugs[c])
	delete(s.plugs, c)
	_ = c.Close()
}

func (s *segment) send(c net.Conn, frames <-chan []byte) {
	for f := range frames {
		if _, err := c.Write(f); err != nil {
			_ = c.Close() // read ends too, and unplugs it
		}
	}
}
