package fallback

import (
	"net"
	"sync"
)

// tracked is a listener that closes what it has accepted when it is closed: a
// connection to an address that is no longer ours would look alive for long.
type tracked struct {
	net.Listener

	mu     sync.Mutex
	closed bool
	open   map[*trackedConn]struct{}
}

type trackedConn struct {
	net.Conn
	of *tracked
}

func track(l net.Listener) *tracked {
	return &tracked{Listener: l, open: map[*trackedConn]struct{}{}}
}

// Accept implements net.Listener.
func (t *tracked) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	own := &trackedConn{c, t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	t.open[own] = struct{}{}
	return own, nil
}

// Close implements net.Listener.
func (t *tracked) Close() error {
	err := t.Listener.Close()
	t.mu.Lock()
	t.closed = true
	all := t.open
	t.open = nil
	t.mu.Unlock()
	for c := range all {
		_ = c.Conn.Close()
	}
	return err
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// SetLinger says how what was not sent yet ends, as net.TCPConn's does.
func (c *trackedConn) SetLinger(sec int) error {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		return t.SetLinger(sec)
	}
	return nil
}
