package server

import (
	"errors"
	"os"
	"time"
)

// lateGrace is how long a write may take whose time was over.
const lateGrace = time.Second

// Write goes on for a moment when its time is over. An AC that was stopped
// between setting a deadline and writing finds it over although nothing has
// been tried, and the client would lose what he listens for.
//
// After a write has failed nothing more is written: TLS numbers its records, and
// the peer would take the next one, were it only the goodbye of Close, for a
// forged one (bad record MAC), where a connection was lost.
func (c *conn) Write(b []byte) (n int, err error) {
	if failed := c.unwritten.Load(); failed != nil {
		return 0, *failed
	}
	n, err = c.Conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if err = c.SetWriteDeadline(time.Now().Add(lateGrace)); err == nil {
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
