// Package forward carries TCP connections from a listener to an address: how
// an operator on the host reaches an AC inside the lab.
//
// It promises that a half-closed connection stays half open, that an end that
// cannot be reached resets the other, and that a broken connection costs only
// itself. It is not a proxy: bytes pass unread.
package forward

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

const dialTimeout = 5 * time.Second

// Serve forwards every connection of l to the TCP address to, until l is closed.
func Serve(l net.Listener, to string, log *slog.Logger) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, or a peer gone before accept: the next may do
			log.Warn("forward: accept failed", "error", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go carry(c, to, log)
	}
}

func carry(c net.Conn, to string, log *slog.Logger) {
	d, err := net.DialTimeout("tcp", to, dialTimeout)
	if err != nil {
		log.Debug("forward: nobody there", "to", to, "error", err)
		reset(c)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { copyHalf(d, c) })
	both.Go(func() { copyHalf(c, d) })
	both.Wait()
	_ = c.Close()
	_ = d.Close()
}

// copyHalf carries one direction and passes its end on: a close as a close, an
// error as a reset.
func copyHalf(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		reset(to)
		reset(from)
		return
	}
	if t, ok := to.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
