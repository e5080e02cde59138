// Package duplex is one end of a channel between an operator and a node
// (core/api/channel.go): frames in order, with flow control from end to end.
//
// It promises: no more than api.ChannelWindow bytes of data are on their way
// each way, so that whoever takes slowly slows the sender and nothing piles up
// between; the end of the channel is noticed at once, also while data waits; a
// peer that breaks the rules ends its channel and costs no more memory.
//
// It does not know what the frames mean: core/channel and ac-mock/client do.
package duplex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/g8os/g8os/core/api"
)

// Transport carries frames. Close ends Receive and Send, which may be called
// beside each other.
type Transport interface {
	Receive() (api.ChannelFrame, error) // its data is the caller's
	Send(api.ChannelFrame) error        // does not keep the data
	Close() error
}

// maxOrders bounds the frames without data that wait: an honest peer sends a
// ready, an end of data and an end.
const maxOrders = 8

// Conn is one end. Next is for one goroutine, the other methods for any number.
type Conn struct {
	t      Transport
	resize func(api.ChannelSize)
	done   chan struct{} // nothing more is received

	sending sync.Mutex // keeps frames whole

	mu      sync.Mutex
	changed *sync.Cond
	queue   []api.ChannelFrame
	orders  int   // frames in queue without data
	held    int   // bytes of data that were received and not reported as taken
	last    int   // bytes of the frame that Next has returned
	untold  int   // bytes taken that the peer does not know of yet
	credit  int   // bytes that may be sent
	err     error // why nothing more is received
}

// New makes an end of a channel and begins to read. resize is told of new sizes
// of the terminal, and must not block; nil: they are left out.
func New(t Transport, resize func(api.ChannelSize)) *Conn {
	c := &Conn{t: t, resize: resize, done: make(chan struct{}), credit: api.ChannelWindow}
	c.changed = sync.NewCond(&c.mu)
	go c.read()
	return c
}

func (c *Conn) read() {
	defer close(c.done)
	for {
		f, err := c.t.Receive()
		if err == nil {
			err = c.take(f)
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.changed.Broadcast()
			c.mu.Unlock()
			_ = c.t.Close()
			return
		}
	}
}

// take sorts one frame.
func (c *Conn) take(f api.ChannelFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.changed.Broadcast()
	switch f.Kind {
	case api.FrameTaken:
		return c.credited(f.Data)
	case api.FrameResize:
		var size api.ChannelSize
		if err := f.Decode(&size); err != nil || c.resize == nil {
			return err
		}
		c.resize(size)
		return nil
	case api.FrameData, api.FrameErrors:
		if c.held += len(f.Data); c.held > api.ChannelWindow {
			return errors.New("channel: the other side sends more than was asked for")
		}
		if len(f.Data) == 0 {
			return nil
		}
	default:
		if c.orders++; c.orders > maxOrders {
			return errors.New("channel: the other side sends one order after the other")
		}
	}
	c.queue = append(c.queue, f)
	return nil
}

func (c *Conn) credited(data []byte) error {
	if len(data) != 4 {
		return fmt.Errorf("channel: a frame %q of %d bytes, want 4", rune(api.FrameTaken), len(data))
	}
	n := int(binary.BigEndian.Uint32(data))
	if n > api.ChannelWindow-c.credit {
		return errors.New("channel: the other side has taken more than it was sent")
	}
	c.credit += n
	return nil
}

// Next returns the next frame, in the order in which they were sent; that the
// caller asks for it says that it has taken the one before. When the channel is
// over, and all of it was returned, the error says why: io.EOF if it was closed.
func (c *Conn) Next() (api.ChannelFrame, error) {
	c.tell()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 {
		if c.err != nil {
			return api.ChannelFrame{}, c.err
		}
		c.changed.Wait()
	}
	f := c.queue[0]
	c.queue[0] = api.ChannelFrame{}
	c.queue = c.queue[1:]
	if f.Kind == api.FrameData || f.Kind == api.FrameErrors {
		c.last = len(f.Data)
	} else {
		c.orders--
	}
	return f, nil
}

// tell lets the peer send on. Not for every frame: a message costs more than a
// part of the window. If it cannot be told, the reader hears of that too, and
// what has come already can still be taken.
func (c *Conn) tell() {
	c.mu.Lock()
	c.held, c.untold, c.last = c.held-c.last, c.untold+c.last, 0
	n := c.untold
	if n < api.ChannelWindow/4 || c.err != nil {
		c.mu.Unlock()
		return
	}
	c.untold = 0
	c.mu.Unlock()
	_ = c.send(api.ChannelFrame{Kind: api.FrameTaken, Data: binary.BigEndian.AppendUint32(nil, uint32(n))})
}

func (c *Conn) send(f api.ChannelFrame) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.t.Send(f)
}

// Send sends a frame. Data of any length becomes as many frames as it needs,
// and waits until the other side has taken enough.
func (c *Conn) Send(f api.ChannelFrame) error {
	if f.Kind != api.FrameData && f.Kind != api.FrameErrors {
		return c.send(f)
	}
	for rest := f.Data; len(rest) > 0; {
		n, err := c.spend(len(rest))
		if err == nil {
			err = c.send(api.ChannelFrame{Kind: f.Kind, Data: rest[:n]})
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// spend waits until something may be sent.
func (c *Conn) spend(want int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.credit == 0 && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		return 0, c.over()
	}
	n := min(want, c.credit, api.ChannelChunk)
	c.credit -= n
	return n, nil
}

func (c *Conn) over() error {
	if errors.Is(c.err, io.EOF) {
		return io.ErrClosedPipe
	}
	return c.err
}

// SendJSON sends a frame whose data is v as JSON.
func (c *Conn) SendJSON(k api.FrameKind, v any) error {
	f, err := api.JSONFrame(k, v)
	if err != nil {
		return err
	}
	return c.Send(f)
}

// Writer sends what is written as data of a kind.
func (c *Conn) Writer(k api.FrameKind) io.Writer { return writer{c, k} }

type writer struct {
	c    *Conn
	kind api.FrameKind
}

func (w writer) Write(p []byte) (int, error) {
	if err := w.c.Send(api.ChannelFrame{Kind: w.kind, Data: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Done is closed when nothing more is received: the other side is gone, or has
// ended the channel.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close ends the channel, and waits until nothing is received any more.
func (c *Conn) Close() {
	_ = c.t.Close()
	<-c.done
}
