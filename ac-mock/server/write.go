package server

import (
	"errors"
	"os"
	"time"
)

// lateGrace is how much longer a client may take when his time is over.
const lateGrace = time.Second

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.late.Store(false)
	return c.Conn.SetWriteDeadline(t)
}

// Write goes on for a moment, once for each deadline, when that is over. An AC
// that was stopped between setting it and writing finds it over although nothing
// has been tried, and the client would lose what he listens for.
//
// After a write has failed nothing more is written: TLS numbers its records, and
// the peer would take the next one, were it only the goodbye of Close, for a
// forged one (bad record MAC), where a connection was lost.
func (c *conn) Write(b []byte) (n int, err error) {
	if failed := c.unwritten.Load(); failed != nil {
		return 0, *failed
	}
	n, err = c.Conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.late.Swap(true) {
		if err = c.Conn.SetWriteDeadline(time.Now().Add(lateGrace)); err == nil {
			var more int
			more, err = c.Conn.Write(b[n:])
			n += more
		}
	}
	if err != nil {
		c.unwritten.Store(&err)
	}
	return n, err
}
