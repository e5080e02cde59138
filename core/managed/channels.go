package managed

import (
	"context"
	"errors"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/carrier"
)

// channels takes a binary message: bytes of the yamux session in which the AC
// opens streams. They are served beside the session and end with it.
func (s *Session) channels(message []byte) error {
	if len(message) == 0 || message[0] != api.WireMux || s.opt.Channel == nil {
		return errors.New("the AC sent a binary message of an unknown kind")
	}
	mux := s.mux.Load()
	if mux == nil {
		// The write ends with the connection, which nothing outlives.
		send := func(b []byte) error { return s.transmit(context.Background(), websocket.MessageBinary, b) }
		var err error
		if mux, err = carrier.Accepter(api.WireMux, send, s.opt.Channel); err != nil {
			return err
		}
		s.mux.Store(mux)
	}
	return mux.Received(message[1:])
}

func (s *Session) endChannels(end func(*carrier.Mux)) {
	if mux := s.mux.Load(); mux != nil {
		end(mux)
	}
}
