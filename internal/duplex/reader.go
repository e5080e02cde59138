package duplex

import (
	"fmt"
	"io"

	"github.com/g8os/g8os/core/api"
)

// Reader reads the data of a channel up to its end.
type Reader struct {
	c    *Conn
	rest []byte
	last api.ChannelFrame
	err  error
}

// Data reads what comes as data.
func (c *Conn) Data() *Reader { return &Reader{c: c} }

// Read implements io.Reader. io.EOF is the end of data that its sender has
// marked; when anything else comes, or the channel is over, it is another error.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.last, r.err = r.c.Next()
		switch {
		case r.err == io.EOF: //nolint:errorlint // what Next documents; data that was cut off must not look whole
			r.err = io.ErrUnexpectedEOF
		case r.err != nil:
		case r.last.Kind == api.FrameData:
			r.rest = r.last.Data
		case r.last.Kind == api.FrameEOF:
			r.err = io.EOF
		default:
			r.err = fmt.Errorf("channel: a frame %q, want data", rune(r.last.Kind))
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, r.err
}

// Last is the frame that ended the data.
func (r *Reader) Last() api.ChannelFrame { return r.last }

// Sum is what the sender says of the data that was read to its end.
func (r *Reader) Sum() (sum api.ChannelSum, err error) {
	if r.last.Kind != api.FrameEOF {
		return sum, fmt.Errorf("channel: the end of the data is not marked: %w", r.err)
	}
	return sum, r.last.Decode(&sum)
}
