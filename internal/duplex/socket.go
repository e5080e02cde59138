package duplex

import (
	"bytes"
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
	kind, r, err := s.ws.Reader(context.Background())
	var message bytes.Buffer // ws.Read grows one from nothing for each message
	if err == nil {
		message.Grow(api.ChannelChunk + 1 + bytes.MinRead)
		_, err = message.ReadFrom(r)
	}
	switch {
	case websocket.CloseStatus(err) == websocket.StatusNormalClosure:
		return api.ChannelFrame{}, io.EOF
	case err != nil:
		return api.ChannelFrame{}, fmt.Errorf("channel: %w", err)
	case kind != websocket.MessageBinary:
		return api.ChannelFrame{}, errors.New("channel: a text message, want binary ones")
	case message.Len() <= small:
		return api.ParseChannelFrame(bytes.Clone(message.Bytes()))
	}
	return api.ParseChannelFrame(message.Bytes())
}

// small is the length of a message up to which it is copied out of the room
// for a long one: what is typed would hold 32 KiB a key until it is taken.
const small = 4 << 10

func (s socket) Send(f api.ChannelFrame) error {
	buf := sent.Get().(*[]byte)
	defer sent.Put(buf)
	*buf = f.AppendMessage((*buf)[:0])
	return s.ws.Write(context.Background(), websocket.MessageBinary, *buf)
}

func (s socket) Close() error { return s.ws.CloseNow() }
