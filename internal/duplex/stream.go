package duplex

import (
	"bufio"
	"io"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Stream is a Transport over a stream of bytes.
func Stream(s io.ReadWriteCloser) Transport { return &stream{s, bufio.NewReader(s)} }

type stream struct {
	io.WriteCloser
	r *bufio.Reader
}

// sent are buffers for a frame each, on its way out.
var sent = sync.Pool{New: func() any { return new([]byte) }}

func (s *stream) Receive() (api.ChannelFrame, error) { return api.ReadChannelFrame(s.r) }

func (s *stream) Send(f api.ChannelFrame) error {
	buf := sent.Get().(*[]byte)
	defer sent.Put(buf)
	*buf = f.AppendStream((*buf)[:0])
	_, err := s.Write(*buf)
	return err
}

// Close ends a reader too that waits: a stream that is closed here can be read
// until the other side closes it.
func (s *stream) Close() error {
	err := s.WriteCloser.Close()
	if d, ok := s.WriteCloser.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(time.Unix(1, 0))
	}
	return err
}
