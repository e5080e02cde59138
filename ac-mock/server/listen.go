package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrPortTaken is wrapped by Listen when somebody else listens there.
var ErrPortTaken = errors.New("the port is taken")

// Listen opens a TCP listener on addr. With share set, listeners that are bound
// to single interfaces (ListenOn) can stand beside it; another program still
// cannot.
func Listen(ctx context.Context, addr string, share bool) (net.Listener, error) {
	// SO_REUSEPORT lets every process of the same user in, also a second AC:
	// whether the port is free shows only without it.
	l, err := listen(ctx, addr, nil)
	if err != nil || !share {
		return l, err
	}
	addr = l.Addr().String() // the port that was chosen, if addr left it open
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return listen(ctx, addr, sharing)
}

// ListenOn opens a TCP listener for connections that come in on one interface:
// replies leave through it too, whatever the routes say. The address need not
// be unique in the machine.
func ListenOn(ctx context.Context, device, addr string) (net.Listener, error) {
	return listen(ctx, addr, func(fd int) error {
		if err := sharing(fd); err != nil {
			return err
		}
		if err := unix.BindToDevice(fd, device); err != nil {
			return fmt.Errorf("bind to interface %s: %w", device, err)
		}
		return nil
	})
}

func sharing(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

func listen(ctx context.Context, addr string, set func(fd int) error) (net.Listener, error) {
	lc := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
		Control: func(_, _ string, c syscall.RawConn) error {
			var failed error
			err := c.Control(func(fd uintptr) {
				if set != nil {
					failed = set(int(fd))
				}
			})
			return errors.Join(err, failed)
		},
	}
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: %w: %w", addr, ErrPortTaken, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}
