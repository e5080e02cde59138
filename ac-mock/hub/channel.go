package hub

import (
	"errors"
	"fmt"
	"net"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/carrier"
)

// Channel opens a stream to a node, for a shell, a forwarded port or a file. It
// ends with the node's session. Errors wrap ErrOffline.
func (h *Hub) Channel(id api.NodeID) (net.Conn, error) {
	h.mu.Lock()
	s := h.sessions[id]
	h.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("channel to node %s: %w", id.MAC(), ErrOffline)
	}
	mux, err := s.channels()
	if err != nil {
		return nil, fmt.Errorf("channel to node %s: %w: %w", id.MAC(), ErrOffline, err)
	}
	stream, err := mux.Open()
	if err != nil { // it was broken by the node, whose next session has a new one
		s.cut()
		return nil, fmt.Errorf("channel to node %s: %w: %w", id.MAC(), ErrOffline, err)
	}
	return stream, nil
}

// channels is where streams to the node are opened.
func (s *session) channels() (*carrier.Mux, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("its session has ended")
	}
	if s.mux == nil {
		mux, err := carrier.Opener(api.WireMux, func(m []byte) error { return s.transmit(websocket.MessageBinary, m) })
		if err != nil {
			return nil, err
		}
		s.mux = mux
	}
	return s.mux, nil
}

// carried takes what the node sends on its streams.
func (s *session) carried(b []byte) error {
	s.mu.Lock()
	mux, closed := s.mux, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil
	case mux == nil:
		return fmt.Errorf("%w: a part of a channel, and none was opened", dispatch.ErrFrame)
	}
	if err := mux.Received(b); err != nil {
		return fmt.Errorf("%w: %w", dispatch.ErrFrame, err)
	}
	return nil
}
