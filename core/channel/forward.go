package channel

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/duplex"
)

// halfCloser is a connection whose directions end one by one.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// forward connects to an address and carries bytes both ways, until both
// directions have ended or one is broken.
func forward(ctx context.Context, c *duplex.Conn, address string) error {
	conn, err := dial(ctx, address)
	if err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := c.SendJSON(api.FrameReady, api.ChannelReady{}); err != nil {
		return err
	}
	ends := make(chan error, 2)
	go func() {
		err := copyIn(c, conn)
		if err == nil {
			err = conn.CloseWrite()
		}
		ends <- err
	}()
	go func() {
		err := copyOut(c, api.FrameData, conn)
		if err == nil {
			err = c.Send(api.ChannelFrame{Kind: api.FrameEOF})
		}
		ends <- err
	}()
	for range cap(ends) {
		if err := <-ends; err != nil { // broken, not ended: the other way is of no use either
			return fmt.Errorf("forward to %s: %w", address, err)
		}
	}
	return nil
}

func dial(ctx context.Context, address string) (halfCloser, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	d := net.Dialer{Timeout: dialling}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return conn.(halfCloser), nil
}
