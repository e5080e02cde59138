package machine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/g8os/g8os/core/guest"
	"github.com/g8os/g8os/core/local"
)

// Relay says that the machine holds a virtual one, and where its init carries
// the guest channel: QEMU takes one client at a time, the lab has many.
type Relay struct {
	Channel string `json:"channel"` // QEMU's socket of the guest channel
	Core    string `json:"core"`    // socket to make: g8os_core of the guest answers there
	Exec    string `json:"exec"`    // socket to make: each connection is a stream of the guest channel
}

// Release lets a guest that is held go, now and whenever it boots again.
type Release struct {
	Hostname string        `json:"hostname"`
	Skew     time.Duration `json:"skew,omitempty"` // how far its clock is to be off
}

// Release tells the init to let its guest go, and returns when it went: a
// guest that is not held any more is let be.
func (m *Machine) Release(ctx context.Context, r Release) error {
	_, err := m.ask(ctx, request{Op: "release", Release: &r})
	return err
}

// relay is the channel as the init holds it.
type relay struct {
	spec Relay
	log  *slog.Logger

	mu      sync.Mutex
	session *guest.Session // nil: the guest does not speak at the moment
	free    bool           // the guest of the session is not held
	release *Release       // nil: it may not go yet
	refused *Release       // the one it did not take
	why     error          // it did not
	changed chan struct{}  // closed and replaced when one of these changes
}

func newRelay(spec Relay, log *slog.Logger) *relay {
	return &relay{spec: spec, log: log, changed: make(chan struct{})}
}

// serve makes the sockets and holds the channel as long as the machine lives.
func (r *relay) serve() error {
	for path, open := range map[string]func() (net.Conn, error){r.spec.Core: r.dialCore, r.spec.Exec: r.open} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("relay: %w", err)
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		go accept(l, open)
	}
	go func() {
		for {
			r.hold()
		}
	}()
	return nil
}

// redial is how long to wait for a QEMU that is not there.
const redial = 20 * time.Millisecond

// hold is one session, from QEMU's socket to its end.
func (r *relay) hold() {
	c, err := net.Dial("unix", r.spec.Channel)
	if err != nil {
		time.Sleep(redial)
		return
	}
	s, err := guest.Connect(context.Background(), c)
	if err != nil {
		r.log.Debug("guest channel", "error", err)
		time.Sleep(redial)
		return
	}
	r.set(func() { r.session, r.free, r.refused = s, !s.Held(), nil })
	if s.Held() {
		go r.letGo(s)
	}
	<-s.Done()
	_ = s.Close()
	r.set(func() { r.session, r.free = nil, false })
}

func (r *relay) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// letGo lets the guest of a session go once it may, and again with another
// release when it did not take one.
func (r *relay) letGo(s *guest.Session) {
	for {
		r.mu.Lock()
		may, refused, changed, over := r.release, r.refused, r.changed, r.session != s || r.free
		r.mu.Unlock()
		if over {
			return
		}
		if may == nil || may == refused {
			<-changed
			continue
		}
		err := goWith(s, *may)
		if err != nil {
			r.log.Warn("guest stays held", "error", err)
		}
		r.set(func() {
			switch {
			case r.session != s:
			case err == nil:
				r.free = true
			default:
				r.refused, r.why = may, err
			}
		})
	}
}

// goWith gives a guest what makes it a machine of its own. One that has gone on
// needs nothing: its answer to an earlier go came too late, when it stood still.
func goWith(s *guest.Session, may Release) error {
	entropy := make([]byte, 64)
	_, _ = rand.Read(entropy) // never fails (crypto/rand)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := s.Go(ctx, guest.Go{Hostname: may.Hostname, Entropy: entropy, Time: time.Now().Add(may.Skew)})
	if err == nil {
		return nil
	}
	if held, asked := s.State(ctx); asked == nil && !held {
		return nil
	}
	return err
}

// over tells of a session before hold does.
func over(s *guest.Session) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

// letGoNow returns when the guest is not held any more, or did not take it.
func (r *relay) letGoNow(may Release) error {
	r.set(func() { r.release = &may })
	for {
		r.mu.Lock()
		free, superseded, refused, why, changed := r.free && !over(r.session), r.release != &may, r.refused == &may, r.why, r.changed
		r.mu.Unlock()
		switch {
		case free:
			return nil
		case refused:
			return why
		case superseded:
			return errors.New("somebody else releases the guest, in another way")
		}
		<-changed
	}
}

var errSilent = errors.New("the guest does not speak: it boots, or stands still")

func (r *relay) current() (*guest.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session == nil {
		return nil, errSilent
	}
	return r.session, nil
}

// openPatience is how long a command waits for a guest that does not speak yet:
// it has power already, and is coming to the gate.
const openPatience = 15 * time.Second

func (r *relay) open() (net.Conn, error) {
	limit := time.After(openPatience)
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		s, err := r.current()
		if err == nil {
			return s.Open()
		}
		select {
		case <-changed:
		case <-limit:
			return nil, err
		}
	}
}

// dialPatience is how long g8os_core's socket may take to be connected.
const dialPatience = 10 * time.Second

func (r *relay) dialCore() (net.Conn, error) {
	s, err := r.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialPatience)
	defer cancel()
	return s.Dial(ctx, local.Socket)
}

// accept connects every client with a stream of its own.
func accept(l net.Listener, open func() (net.Conn, error)) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no more files: some will be closed
			time.Sleep(redial)
			continue
		}
		go func() {
			defer c.Close()
			stream, err := open()
			if err != nil {
				return
			}
			defer stream.Close()
			join(c, stream)
		}()
	}
}

// join carries both directions until either side is gone: streams of the
// channel have no half-open state of their own.
func join(a, b net.Conn) {
	done := make(chan struct{}, 2)
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go carry(a, b)
	go carry(b, a)
	<-done
}
