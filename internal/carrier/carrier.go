// Package carrier runs a yamux session (github.com/hashicorp/yamux) over
// messages that somebody else carries: a node's session with its AC carries
// JSON frames too, and must not wait for what flows here.
//
//	yamux ── Write ─▶ 64 KiB ─▶ one message of ≤ 32 KiB after the other ─▶ send
//	      ◀─ Read ── what was received ◀── Received, never blocks ◀─ who reads
//
// It promises: memory is bounded whatever the other side sends; a message is
// short, so that others get their turn between two of them; what only fills
// memory (pings, streams opened by the side that accepts) ends the session.
//
// It does not know when the other side is gone: its owner does, and closes it.
package carrier

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	chunk   = 32 << 10                  // bytes in a message
	maxOut  = 2 * chunk                 // bytes that wait to be sent
	maxIn   = (MaxStreams + 8) * window // bytes received that yamux has not yet taken: more than all windows is no honest sender
	window  = 256 << 10                 // of a stream, yamux's least
	ownByte = 1                         // room for what the message begins with
)

// MaxStreams is how many streams one side may have open at a time.
const MaxStreams = 64

// pipe is what yamux takes for its connection.
type pipe struct {
	first byte
	send  func(message []byte) error
	guard guard

	mu      sync.Mutex
	changed *sync.Cond
	in      []part
	inSize  int
	out     []byte
	err     error
	ended   chan struct{} // the sender has ended
}

// part is bytes received, in room that is used again. A new one is begun when there
// is no room in the last: messages of some bytes take no more than they have.
type part struct {
	room     *[chunk]byte
	from, to int
}

var rooms = sync.Pool{New: func() any { return new([chunk]byte) }}

func newPipe(first byte, send func([]byte) error, opens bool) *pipe {
	p := &pipe{first: first, send: send, guard: guard{opens: opens}, ended: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	go p.sender()
	return p
}

// received takes bytes of the other side, and copies them.
func (p *pipe) received(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	if err := p.guard.look(b); err != nil {
		return p.fail(err)
	}
	if p.inSize+len(b) > maxIn {
		return p.fail(errors.New("the other side sends more than its streams' windows allow"))
	}
	p.inSize += len(b)
	for len(b) > 0 {
		if n := len(p.in); n == 0 || p.in[n-1].to == chunk {
			p.in = append(p.in, part{room: rooms.Get().(*[chunk]byte)})
		}
		last := &p.in[len(p.in)-1]
		n := copy(last.room[last.to:], b)
		last.to, b = last.to+n, b[n:]
	}
	p.changed.Broadcast()
	return nil
}

// fail ends everything, under mu.
func (p *pipe) fail(err error) error {
	if p.err == nil {
		p.err = fmt.Errorf("channels: %w", err)
		p.in, p.inSize = nil, 0
		p.changed.Broadcast()
	}
	return p.err
}

// Read implements io.Reader for yamux.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.in) == 0 {
		if p.err != nil {
			return 0, io.EOF
		}
		p.changed.Wait()
	}
	first := &p.in[0]
	n := copy(b, first.room[first.from:first.to])
	if first.from += n; first.from == first.to {
		rooms.Put(first.room)
		first.room = nil
		p.in = p.in[1:]
	}
	p.inSize -= n
	return n, nil
}

// Write implements io.Writer for yamux: it waits while too much waits to be sent.
func (p *pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) {
		for len(p.out) >= maxOut && p.err == nil {
			p.changed.Wait()
		}
		if p.err != nil {
			return n, p.err
		}
		part := b[n:min(len(b), n+maxOut-len(p.out))]
		p.out = append(p.out, part...)
		n += len(part)
		p.changed.Broadcast()
	}
	return n, nil
}

// sender sends what was written, in few messages: yamux writes a header and its
// body one after the other.
func (p *pipe) sender() {
	defer close(p.ended)
	message := make([]byte, 0, ownByte+chunk)
	for {
		var ok bool
		if message, ok = p.next(append(message[:0], p.first)); !ok {
			return
		}
		if err := p.send(message); err != nil {
			p.mu.Lock()
			_ = p.fail(err)
			p.mu.Unlock()
			return
		}
	}
}

// next adds to a message what is to be sent.
func (p *pipe) next(message []byte) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.out) == 0 {
		if p.err != nil {
			return message, false
		}
		p.changed.Wait()
	}
	n := min(len(p.out), chunk)
	message = append(message, p.out[:n]...)
	p.out = p.out[:copy(p.out, p.out[n:])]
	p.changed.Broadcast()
	return message, p.err == nil
}

// Close implements io.Closer. It waits for nothing.
func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.fail(errors.New("closed"))
	return nil
}
