package guest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/yamux"
)

// Session is the host's side of a channel.
type Session struct {
	held bool
	mux  *yamux.Session
}

const (
	nudge     = 2 * time.Second // how long to wait for a greeting before the guest is brought out of a frame
	maxBefore = 1 << 20         // bytes of a guest's last session that may come before its greeting
)

// Connect waits until the guest behind a connection greets, and opens a
// session with it. It waits as long as ctx allows: for a machine that boots,
// or that stands still.
func Connect(ctx context.Context, c net.Conn) (*Session, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	fail := func(err error) (*Session, error) {
		stop()
		_ = c.Close()
		return nil, fmt.Errorf("guest channel: %w", errors.Join(err, context.Cause(ctx)))
	}
	r := bufio.NewReader(c)
	held, err := awaitGreeting(c, r)
	if err != nil {
		return fail(err)
	}
	mux, err := yamux.Client(duplex{r, c}, muxConfig())
	if err != nil {
		return fail(err)
	}
	if _, err := mux.Ping(); err != nil { // so that the guest hears from us
		_ = mux.Close()
		return fail(fmt.Errorf("the guest greeted and then said nothing: %w", err))
	}
	if !stop() {
		_ = mux.Close()
		return fail(nil)
	}
	return &Session{held: held, mux: mux}, nil
}

// awaitGreeting reads up to the greeting. A guest that does not greet may be
// in the middle of a frame of the last host.
func awaitGreeting(c net.Conn, r *bufio.Reader) (held bool, err error) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t := time.NewTicker(nudge)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				_ = c.SetWriteDeadline(time.Now().Add(nudge / 4))
				_, _ = c.Write(bytes.Repeat([]byte{'\n'}, Resync))
			}
		}
	}()
	held, err = readGreeting(r)
	close(done)
	<-stopped
	_ = c.SetWriteDeadline(time.Time{})
	return held, err
}

// readGreeting skips what a guest's last session left on the way.
func readGreeting(r *bufio.Reader) (held bool, err error) {
	seen := 0
	for n := 0; n < maxBefore; n++ {
		b, err := r.ReadByte()
		if err != nil {
			return false, fmt.Errorf("the guest does not greet: %w", err)
		}
		switch {
		case b == Greeting[seen]:
			seen++
		case b == Greeting[0]:
			seen = 1
		default:
			seen = 0
		}
		if seen < len(Greeting) {
			continue
		}
		seen = 0
		switch state, err := readWord(r); {
		case err != nil:
			return false, err
		case state == Held || state == Running:
			return state == Held, nil
		}
	}
	return false, fmt.Errorf("the guest does not greet in %d bytes; want %q (is g8os.guest on its command line?)", maxBefore, Greeting+Running)
}

func readWord(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for b.Len() < len(Running)+1 {
		c, err := r.ReadByte()
		if err != nil {
			return "", fmt.Errorf("the guest stops in its greeting: %w", err)
		}
		if c == '\n' {
			break
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// Held reports whether the guest waited for go when it greeted.
func (s *Session) Held() bool { return s.held }

// Done is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// Close ends the session, and with it the commands it started.
func (s *Session) Close() error { return s.mux.Close() }

// Open opens a stream, for one of the functions below.
func (s *Session) Open() (net.Conn, error) {
	c, err := s.mux.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("guest channel: %w", err)
	}
	return newConn(c), nil
}

// Go lets a held machine go on.
func (s *Session) Go(ctx context.Context, g Go) error {
	return with(s, func(c net.Conn) error { return SendGo(ctx, c, g) })
}

// State asks whether the machine is held now.
func (s *Session) State(ctx context.Context) (held bool, err error) {
	err = with(s, func(c net.Conn) (err error) { held, err = State(ctx, c); return })
	return held, err
}

// Exec runs a command and returns how it ended.
func (s *Session) Exec(ctx context.Context, cmd Command, stdio Stdio) (exit Exit, err error) {
	err = with(s, func(c net.Conn) (err error) { exit, err = Exec(ctx, c, cmd, stdio); return })
	return exit, err
}

// Dial connects to a unix socket in the guest.
func (s *Session) Dial(ctx context.Context, path string) (net.Conn, error) {
	c, err := s.Open()
	if err != nil {
		return nil, err
	}
	return Dial(ctx, c, path)
}

func with(s *Session, f func(net.Conn) error) error {
	c, err := s.Open()
	if err != nil {
		return err
	}
	return f(c)
}

// ask sends a request over a fresh stream and reads the answer. If it fails
// the stream is closed.
func ask(ctx context.Context, raw net.Conn, q request) (c *conn, a answer, err error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close(); _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c = newConn(raw)
	if err = writeLine(c, q); err == nil {
		err = readLine(c.r, &a)
	}
	if err == nil && a.Error != "" {
		err = &RemoteError{a.Error, a.Status}
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return c, a, nil
	}
	_ = raw.Close()
	if errors.Is(err, io.EOF) {
		err = errors.New("the guest went away before it answered")
	}
	return nil, a, fmt.Errorf("guest: %s: %w", q.Op, errors.Join(err, context.Cause(ctx)))
}

// SendGo lets a held machine go on, over a fresh stream.
func SendGo(ctx context.Context, stream net.Conn, g Go) error {
	c, _, err := ask(ctx, stream, request{Op: opGo, Go: g})
	if err != nil {
		return err
	}
	return c.Close()
}

// State asks whether the machine is held, over a fresh stream.
func State(ctx context.Context, stream net.Conn) (held bool, err error) {
	c, a, err := ask(ctx, stream, request{Op: opState})
	if err != nil {
		return false, err
	}
	return a.Held, c.Close()
}

// Dial makes a fresh stream a connection to a unix socket in the guest.
func Dial(ctx context.Context, stream net.Conn, path string) (net.Conn, error) {
	c, _, err := ask(ctx, stream, request{Op: opDial, Path: path})
	if err != nil {
		return nil, err
	}
	return c, nil
}
