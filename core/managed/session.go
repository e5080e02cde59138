// Package managed is a managed node's session with its AC.
//
// It promises: one outgoing connection carries everything; a heartbeat says
// where the node is, and a session whose heartbeats are not answered is ended;
// what jobs say takes no memory that grows with it.
//
// It does not look for an AC (core/boot does), does not open the connection
// (core/find does), and runs no jobs (core/jobs does).
package managed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs"
	"github.com/g8os/g8os/core/managed/pulse"
	"github.com/g8os/g8os/internal/carrier"
)

// ErrDistrusted is wrapped when the AC does not accept our client certificate.
var ErrDistrusted = errors.New("the AC does not accept our certificate")

// Timing of a session.
type Timing struct {
	Heartbeat time.Duration // between two heartbeats
	Silence   time.Duration // without an answer for so long, the session is dead
	Write     time.Duration // how long one frame may take to be sent
}

// DefaultTiming notices a silent AC within 15 s.
var DefaultTiming = Timing{Heartbeat: 5 * time.Second, Silence: 15 * time.Second, Write: 10 * time.Second}

// Connection is one TLS connection to an AC, on which our certificate is shown.
type Connection interface {
	http.RoundTripper
	URL(path string) string
	Close()
}

// Options of a session. All fields but Channel, Rotate, Metrics and Clock must be set.
type Options struct {
	Jobs     *jobs.Jobs
	Channel  func(context.Context, net.Conn) // serves a stream that the AC opened, until ctx ends; nil: there are none
	Rotate   func(api.Rotate) api.Rotate     // replaces a key and says how that went; it may take its time
	Where    func() api.Whereabouts
	Settings func(api.Settings)
	Metrics  func() *api.Metrics // what was measured last; nil: nothing
	Clock    func(time.Time)     // is told the AC's clock now and again; it must not block
	Timing   Timing
	Log      *slog.Logger
}

// Session is one session. Its methods may be called concurrently.
type Session struct {
	opt    Options
	conn   Connection
	ws     *websocket.Conn
	number int
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done
	pulse  chan uint64
	mux    atomic.Pointer[carrier.Mux] // of channels; nil until there is one
}

// Open begins a session over conn and owns conn from then on. ctx bounds the
// opening only. Errors wrap ErrDistrusted when the certificate is the reason.
func Open(ctx context.Context, conn Connection, o Options) (*Session, error) {
	ws, resp, err := websocket.Dial(ctx, conn.URL(api.PathSession), &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: conn},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		conn.Close()
		return nil, opening(resp, err)
	}
	ws.SetReadLimit(api.MaxFrame)
	life, cancel := context.WithCancel(context.Background())
	s := &Session{opt: o, conn: conn, ws: ws, cancel: cancel, done: make(chan struct{}), pulse: make(chan uint64, 1)}
	s.number = o.Jobs.Attach()
	go s.run(life)
	return s, nil
}

// opening sorts the failure to open a session. In TLS 1.3 a client hears only
// here that its certificate was not accepted.
func opening(resp *http.Response, err error) error {
	if resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("session: %w: status %d", ErrDistrusted, resp.StatusCode)
	}
	return sorted(fmt.Errorf("session: %w", err))
}

// sorted adds ErrDistrusted to an error that is a TLS alert about our
// certificate (RFC 8446, section 6.2), or the AC's word that it was revoked.
func sorted(err error) error {
	var op *net.OpError
	alert := errors.As(err, &op) && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate")
	if alert || websocket.CloseStatus(err) == api.CloseRevoked {
		return fmt.Errorf("%w: %w", ErrDistrusted, err)
	}
	return err
}

// Done is closed when the session has ended; Err then says why.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is nil after Close, and before the end.
func (s *Session) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends the session in order and waits for its end.
func (s *Session) Close() {
	s.cancel()
	<-s.done
}

func (s *Session) run(ctx context.Context) {
	defer close(s.done)
	defer s.conn.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	parts := []func(context.Context) error{s.read, s.send, s.beat}
	if s.opt.Metrics != nil {
		parts = append(parts, s.measure)
	}
	ends := make(chan struct{}, len(parts))
	for _, part := range parts {
		go func() {
			fail(part(ctx))
			ends <- struct{}{}
		}()
	}
	<-ctx.Done()
	s.opt.Jobs.Detach(s.number)
	s.endChannels((*carrier.Mux).End)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		s.err = sorted(cause)
		_ = s.ws.CloseNow()
	} else {
		_ = s.ws.Close(websocket.StatusNormalClosure, "")
	}
	for range parts {
		<-ends
	}
	s.endChannels((*carrier.Mux).Close)
}

// read takes the AC's frames. It reads until the connection ends by itself or
// is closed: a cancelled read would tear down the connection before the
// closing handshake.
func (s *Session) read(context.Context) error {
	for {
		if err := s.receive(); err != nil {
			return fmt.Errorf("session: %w", err)
		}
	}
}

// received are buffers for one message each.
var received = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (s *Session) receive() error {
	kind, r, err := s.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	buf := received.Get().(*bytes.Buffer)
	defer received.Put(buf)
	buf.Reset()
	if _, err := buf.ReadFrom(r); err != nil {
		return err
	}
	if kind == websocket.MessageBinary {
		return s.channels(buf.Bytes())
	}
	var f api.Frame
	if err := json.Unmarshal(buf.Bytes(), &f); err != nil {
		return fmt.Errorf("the AC sent something that is no frame: %w", err)
	}
	s.take(f)
	return nil
}

func (s *Session) take(f api.Frame) {
	switch f.Type {
	case api.FrameHeartbeat:
		if f.Time != nil && s.opt.Clock != nil {
			s.opt.Clock(*f.Time)
		}
		select {
		case s.pulse <- f.Seq:
		default:
		}
	case api.FrameSettings:
		if f.Settings != nil {
			s.opt.Settings(*f.Settings)
		}
	case api.FrameExec:
		if f.Exec != nil && f.Job != "" {
			s.opt.Jobs.Start(f.Job, *f.Exec, f.Seq, f.State == api.JobRunning)
		}
	case api.FrameCancel:
		s.opt.Jobs.Cancel(f.Job)
	case api.FrameAck:
		s.opt.Jobs.Ack(f.Job, f.Seq)
	case api.FrameRotate:
		if f.Rotate != nil {
			s.rotate(*f.Rotate)
		}
	default:
		s.opt.Log.Warn("frame of an unknown type left out", "type", f.Type)
	}
}

// send hands out what jobs say.
func (s *Session) send(ctx context.Context) error {
	buf := make([]byte, 0, 2*api.MaxPiece)
	for {
		f, ok := s.opt.Jobs.Take(s.number, buf)
		if !ok {
			return context.Canceled
		}
		if err := s.write(ctx, f); err != nil {
			return err
		}
	}
}

// beat sends heartbeats, the first at once, and ends the session when the AC
// has answered none for too long.
func (s *Session) beat(ctx context.Context) error {
	p := pulse.New(s.opt.Timing.Heartbeat, s.opt.Timing.Silence, time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Canceled
		case seq := <-s.pulse:
			p.Heard(seq, time.Now())
		case <-timer.C:
			seq, due, err := p.Tick(time.Now())
			if err != nil {
				return fmt.Errorf("session: %w", err)
			}
			if due {
				err = s.heartbeat(ctx, seq)
			}
			if err != nil {
				return err
			}
		}
		timer.Reset(time.Until(p.Next()))
	}
}

func (s *Session) heartbeat(ctx context.Context, seq uint64) error {
	where := s.opt.Where()
	return s.write(ctx, api.Frame{Type: api.FrameHeartbeat, Seq: seq, Where: &where})
}

// messages are buffers for one message each.
var messages = sync.Pool{New: func() any { return new([]byte) }}

func (s *Session) write(ctx context.Context, f api.Frame) error {
	if f.Type == api.FrameOutput {
		buf := messages.Get().(*[]byte)
		defer messages.Put(buf)
		message, err := api.AppendOutput((*buf)[:0], f)
		if err != nil {
			return fmt.Errorf("session: %w", err)
		}
		*buf = message
		return s.transmit(ctx, websocket.MessageBinary, message)
	}
	message, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return s.transmit(ctx, websocket.MessageText, message)
}

func (s *Session) transmit(ctx context.Context, kind websocket.MessageType, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timing.Write)
	defer cancel()
	if err := s.ws.Write(ctx, kind, message); err != nil {
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
			return context.Canceled
		}
		return fmt.Errorf("session: %w", err)
	}
	return nil
}
