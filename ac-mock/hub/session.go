package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/carrier"
)

// maxOutbox bounds the frames that wait to be written to one node.
const maxOutbox = 1024

// session is one WebSocket of a node. It owns one goroutine, which reads; a
// second one exists only while there is something to write.
type session struct {
	hub         *Hub
	node        api.NodeID
	number      uint64
	conn        *websocket.Conn
	holds       func() error    // why the node may not have a session any more, or nil
	certificate string          // serial of the one it came with
	where       api.Whereabouts // as the node said last; under hub.mu
	renewed     bool            // it was replaced by one with another certificate; under hub.mu
	life        context.Context // until it is closed
	end         context.CancelFunc

	mu      sync.Mutex
	outbox  []api.Frame
	writing bool
	closed  bool
	mux     *carrier.Mux // of channels; nil until there is one
}

// read takes messages until the session ends, and returns the status with
// which the peer took leave (-1 if it did not).
func (s *session) read() websocket.StatusCode {
	for {
		f, err := s.receive()
		if err == nil && f.Type == "" { // a part of a channel
			continue
		}
		if err != nil && !errors.Is(err, dispatch.ErrFrame) {
			return websocket.CloseStatus(err)
		}
		if err != nil {
			s.hub.opt.Log.Warn("session cut: bad message", "node", s.node, "error", err)
			s.close(api.CloseMessage, "not a frame")
			return -1
		}
		s.hub.received(s, f)
		if f.Type == api.FrameOutput {
			s.hub.opt.Jobs.Absorb(s.life, s.node)
		}
	}
}

// messages are buffers for one message each: what nodes say is copied out of
// them, in the size that it has.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// receive reads one message; one that belongs to channels is no frame and goes
// there. Its error wraps dispatch.ErrFrame when that is no
// frame; any other is the end of the connection.
func (s *session) receive() (api.Frame, error) {
	kind, r, err := s.conn.Reader(context.Background())
	if err != nil {
		return api.Frame{}, err
	}
	buf := messages.Get().(*bytes.Buffer)
	defer messages.Put(buf)
	buf.Reset()
	if _, err := buf.ReadFrom(r); err != nil {
		return api.Frame{}, err
	}
	if kind == websocket.MessageText {
		return dispatch.DecodeFrame(buf.Bytes())
	}
	if b := buf.Bytes(); len(b) > 0 && b[0] == api.WireMux {
		return api.Frame{}, s.carried(b[1:])
	}
	f, err := dispatch.DecodeBinary(buf.Bytes())
	f.Data = bytes.Clone(f.Data)
	return f, err
}

// Send queues a frame. It never blocks; a node that does not read loses its
// session.
func (s *session) Send(f api.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if len(s.outbox) >= maxOutbox {
		s.closed = true
		s.end()
		go func() { _ = s.conn.CloseNow() }() // which ends the reader, and that the rest
		return
	}
	s.outbox = append(s.outbox, f)
	if !s.writing {
		s.writing = true
		go s.write()
	}
}

// write empties the outbox and ends.
func (s *session) write() {
	for {
		s.mu.Lock()
		if len(s.outbox) == 0 || s.closed {
			s.writing, s.outbox = false, nil
			s.mu.Unlock()
			return
		}
		f := s.outbox[0]
		s.outbox = s.outbox[1:]
		s.mu.Unlock()
		if err := s.writeFrame(f); err != nil {
			_ = s.conn.CloseNow()
			return
		}
	}
}

func (s *session) writeFrame(f api.Frame) error {
	message, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return s.transmit(websocket.MessageText, message)
}

func (s *session) transmit(kind websocket.MessageType, message []byte) error {
	if s.hub.faulty(fault.Slow, s.node) {
		time.Sleep(fault.SlowDelay)
	}
	if s.hub.faulty(fault.CorruptReply, s.node) {
		fault.Corrupt(message)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.hub.opt.Timing.Write)
	defer cancel()
	return s.conn.Write(ctx, kind, message)
}

// close tells the peer why and ends the session, without waiting for it.
func (s *session) close(code websocket.StatusCode, why string) {
	if s.stop() {
		go func() { _ = s.conn.Close(code, why) }()
	}
}

// Cut ends the session without a word, for a reason.
func (s *session) Cut(why string) {
	s.hub.opt.Log.Warn("session cut", "node", s.node, "reason", why)
	s.cut()
}

// cut ends the session without a word.
func (s *session) cut() {
	if s.stop() {
		go func() { _ = s.conn.CloseNow() }()
	}
}

func (s *session) stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.closed
	s.closed = true
	if s.mux != nil {
		s.mux.End()
	}
	s.end()
	return !was
}
