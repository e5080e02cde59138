package duplex

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/core/api"
)

// Socket is a Transport over a WebSocket: one frame a binary message.
func Socket(ws *websocket.Conn) Transport {
	ws.SetReadLimit(api.MaxChannel + 1)
	return socket{ws}
}

type socket struct{ ws *websocket.Conn }

func (s socket) Receive() (api.ChannelFrame, error) {
	kind, message, err := s.ws.Read(context.Background())
	switch {
	case websocket.CloseStatus(err) == websocket.StatusNormalClosure:
		return api.ChannelFrame{}, io.EOF
	case err != nil:
		return api.ChannelFrame{}, fmt.Errorf("channel: %w", err)
	case kind != websocket.MessageBinary:
		return api.ChannelFrame{}, errors.New("channel: a text message, want binary ones")
	}
	return api.ParseChannelFrame(message)
}

func (s socket) Send(f api.ChannelFrame) error {
	return s.ws.Write(context.Background(), websocket.MessageBinary, f.Message())
}

func (s socket) Close() error { return s.ws.CloseNow() }
