package guest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// Options of a guest that serves the channel.
type Options struct {
	// Held reports whether the machine waits for go. Nil: it does not.
	Held func() bool
	// Go is called for every go; its error is the host's answer. Nil: refused.
	Go func(context.Context, Go) error
	// Log says who comes and goes. Nil: nothing is said.
	Log *slog.Logger
	// Open opens the port. Nil: the virtio-serial port named Port.
	Open func(context.Context) (Channel, error)
}

const (
	lookAgain = 200 * time.Millisecond // after no port, or one that fails
	breath    = 20 * time.Millisecond  // between two hosts: one that only sends rubbish costs little
	hearing   = 5 * time.Second        // how long a host that was greeted may say nothing
	maxOpen   = 256                    // streams at a time
)

// Serve serves the channel until ctx ends: one host after the other, for ever.
func Serve(ctx context.Context, o Options) error {
	if o.Open == nil {
		o.Open = openPort
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Held == nil {
		o.Held = func() bool { return false }
	}
	said := ""
	for ctx.Err() == nil {
		pause := lookAgain
		ch, err := o.Open(ctx)
		if err == nil {
			pause, said = breath, ""
			err = o.session(ctx, ch)
			o.Log.Debug("guest channel: the host went away", "reason", err)
		} else if said != err.Error() {
			said = err.Error()
			o.Log.Warn("guest channel: not there; looking again and again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return context.Cause(ctx)
}

// session serves one host until it goes away. Its commands end with it.
func (o Options) session(ctx context.Context, ch Channel) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ch.Close() })
	defer stop()
	defer ch.Close()
	r, err := o.greet(ch)
	if err != nil {
		return err
	}
	mux, err := yamux.Server(duplex{r, ch}, muxConfig())
	if err != nil {
		return err
	}
	defer mux.Close()
	o.Log.Debug("guest channel: a host is there")
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel() // before the wait
	for {
		s, err := mux.AcceptStream()
		if err != nil {
			return err
		}
		if mux.NumStreams() > maxOpen {
			_ = writeLine(s, answer{Error: fmt.Sprintf("%d streams are open already", maxOpen)})
			_ = s.Close()
			continue
		}
		open.Go(func() { o.stream(ctx, s) })
	}
}

// duplex is a connection whose first bytes have been looked at.
type duplex struct {
	io.Reader
	io.WriteCloser
}

// greet introduces itself until the host says something. One that does not
// hear because it is in the middle of a frame of the guest's last boot is
// brought out of it.
func (o Options) greet(ch Channel) (*bufio.Reader, error) {
	r := bufio.NewReader(ch)
	lead := ""
	for {
		state := Running
		if o.Held() {
			state = Held
		}
		if _, err := io.WriteString(ch, lead+Greeting+state+"\n"); err != nil {
			return nil, fmt.Errorf("greet the host: %w", err)
		}
		_ = ch.SetReadDeadline(time.Now().Add(hearing))
		err := awaitHello(r)
		_ = ch.SetReadDeadline(time.Time{})
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return r, err
		}
		lead = strings.Repeat("\n", Resync)
	}
}

// hello is how a host's first frame begins, a ping that Connect sends (yamux:
// version 0, type 2, flags SYN). What else may come first is what was on its
// way to the guest's last boot: none of it must be done now.
var hello = []byte{0, 2, 0, 1}

// awaitHello reads up to the host's first frame.
func awaitHello(r *bufio.Reader) error {
	for {
		first, err := r.Peek(1)
		if err != nil {
			return err
		}
		if first[0] != '\n' {
			break
		}
		_, _ = r.Discard(1)
	}
	begin, err := r.Peek(len(hello))
	if err == nil && !bytes.Equal(begin, hello) {
		err = fmt.Errorf("the host begins with %q, want a ping", begin)
	}
	return err
}

// stream serves one request.
func (o Options) stream(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	c := newConn(raw)
	var q request
	if err := readLine(c.r, &q); err != nil {
		if !errors.Is(err, io.EOF) {
			_ = writeLine(c, answer{Error: fmt.Sprintf("read the request: %v", err)})
		}
		return
	}
	if err := o.serve(ctx, c, q); err != nil {
		level := slog.LevelWarn
		if q.Op == opDial { // a host asks g8os_core again and again while it starts
			level = slog.LevelDebug
		}
		o.Log.Log(ctx, level, "guest channel: request failed", "op", q.Op, "error", err)
		_ = writeLine(c, answer{Error: err.Error(), Status: notRun(err)})
	}
}

// serve does what a request asks. An error is one that comes before the answer.
func (o Options) serve(ctx context.Context, c *conn, q request) error {
	switch q.Op {
	case opGo:
		if o.Go == nil {
			return errors.New("go: this machine takes none")
		}
		if err := o.Go(ctx, q.Go); err != nil {
			return fmt.Errorf("go: %w", err)
		}
		return writeLine(c, answer{})
	case opState:
		return writeLine(c, answer{Held: o.Held()})
	case opDial:
		return serveDial(ctx, c, q.Path)
	case opExec:
		return serveExec(ctx, c, q.Command)
	}
	return fmt.Errorf("unknown operation %q, want go, state, dial or exec", q.Op)
}

// serveDial carries bytes between a stream and a unix socket.
func serveDial(ctx context.Context, c *conn, path string) error {
	var d net.Dialer
	local, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer local.Close()
	if writeLine(c, answer{}) == nil {
		Splice(c, newConn(local))
	}
	return nil
}

// halfCloser is a connection whose directions end one by one.
type halfCloser interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Splice carries bytes both ways until both directions have ended.
func Splice(a, b halfCloser) {
	var both sync.WaitGroup
	one := func(to, from halfCloser) {
		if _, err := io.Copy(to, from); err != nil { // broken, not ended: the other way is of no use either
			_, _ = to.Close(), from.Close()
		}
		_ = to.CloseWrite()
	}
	both.Go(func() { one(a, b) })
	both.Go(func() { one(b, a) })
	both.Wait()
}
