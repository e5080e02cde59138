package client

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/g8os/g8os/core/api"
)

// halfCloser is a connection whose directions end one by one.
type halfCloser interface{ CloseWrite() error }

// Forward carries a connection to an address that a node can reach
// (api.ChannelOpen), until both directions have ended or one is broken. It
// closes the connection.
func (c *Client) Forward(ctx context.Context, ref, address string, conn net.Conn) error {
	defer conn.Close()
	ch, _, err := c.Channel(ctx, ref, api.ChannelOpen{Kind: api.ChannelForward, Address: address})
	if err != nil {
		return err
	}
	defer ch.Leave()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	broken := make(chan error, 1)
	go func() {
		err := upload(ch, conn)
		broken <- err
		if err != nil {
			_ = ch.ws.CloseNow()
		}
	}()
	_, err = ch.Copy(ctx, conn, conn, func(api.ChannelFrame) error {
		if h, ok := conn.(halfCloser); ok {
			return h.CloseWrite()
		}
		return nil
	})
	select {
	case ours := <-broken:
		if ours != nil && ctx.Err() == nil {
			return ours
		}
	default:
	}
	return err
}

// upload sends what a connection says up to its end.
func upload(ch *Channel, conn net.Conn) error {
	buf := make([]byte, api.ChannelChunk)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if ch.Send(api.ChannelFrame{Kind: api.FrameData, Data: buf[:n]}) != nil {
				return nil // the other way says why
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = ch.Send(api.ChannelFrame{Kind: api.FrameEOF})
			return nil
		case err != nil:
			return err
		}
	}
}
