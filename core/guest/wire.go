package guest

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// conn is one stream: its reader may hold bytes that came with the first line,
// and its writes stay short.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func newConn(c net.Conn) *conn { return &conn{Conn: c, r: bufio.NewReader(c)} }

func (c *conn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *conn) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var m int
		m, err = c.Conn.Write(p[:min(len(p), maxWrite)])
		n, p = n+m, p[m:]
	}
	return n, err
}

// CloseWrite tells the other side that nothing more comes. Closing a stream of
// yamux is just that; what the other side sends still arrives.
func (c *conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Conn.Close()
}

// readLine reads a line of JSON of bounded length.
func readLine(r *bufio.Reader, v any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		if err == nil {
			return json.Unmarshal(line, v)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(line) >= maxLine {
		return fmt.Errorf("%d bytes, at most %d can be sent", len(line), maxLine)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// What a frame of exec carries.
const (
	frameStdin  byte = iota + 1
	frameEnd         // of stdin
	frameResize      // Size
	frameSignal      // int
	frameTaken       // one frame of stdin was: the next may come
	frameStdout
	frameStderr
	frameExit // Exit, the last
)

const (
	frameHeader = 5                      // kind, length
	maxFrame    = maxWrite - frameHeader // bytes in a frame: it goes out in one write
	// window is how many frames of stdin may wait for a command that does not
	// read: what comes behind them, a signal or the end of the host, gets through.
	window = 16
)

// frames writes frames from several goroutines.
type frames struct {
	mu sync.Mutex
	w  io.Writer
}

// send writes bytes as frames of a kind; none make one empty frame.
func (f *frames) send(kind byte, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		part := p[:min(len(p), maxFrame)]
		out := append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(part))), part...)
		if _, err := f.w.Write(out); err != nil {
			return err
		}
		if p = p[len(part):]; len(p) == 0 {
			return nil
		}
	}
}

func (f *frames) sendJSON(kind byte, v any) error {
	p, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.send(kind, p)
}

// readFrame reads one frame; what it returns is valid until the next.
func readFrame(r io.Reader, buf *[maxFrame]byte) (kind byte, p []byte, err error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] < frameStdin || head[0] > frameExit || n > maxFrame {
		return 0, nil, fmt.Errorf("not a frame: kind %d of %d bytes", head[0], n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return head[0], buf[:n], nil
}
