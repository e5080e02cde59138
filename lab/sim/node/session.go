package node

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/managed"
	"github.com/g8os/g8os/core/managed/pulse"
	"github.com/g8os/g8os/core/node/verdict"
	"github.com/g8os/g8os/lab/sim/channel"
	"github.com/g8os/g8os/lab/sim/ether"
)

// session is one session with an AC: what managed.Session is on a machine.
type session struct {
	core   *core
	id     int
	number int // of the ledger
	end    *ether.End
	path   boot.Path
	where  api.Whereabouts
	pulse  *pulse.Pulse
	over   bool
	again  func() // beat
}

// upgraded says whether an AC has taken a session.
func upgraded(r channel.Response) error {
	switch r.Status {
	case http.StatusSwitchingProtocols:
		return nil
	case http.StatusForbidden, http.StatusUnauthorized:
		return fmt.Errorf("session: %w: status %d", managed.ErrDistrusted, r.Status)
	}
	return fmt.Errorf("session: status %d", r.Status)
}

// begin makes a session of a connection.
func (c *core) begin(e boot.Connect, k *client) {
	t := managed.DefaultTiming
	s := &session{
		core: c, id: e.ID, end: k.end, path: e.Path, where: e.Path.Where(boot.PhaseManaged), number: c.ledger.Attach(),
		pulse: pulse.New(t.Heartbeat, t.Silence, c.monotonic()),
	}
	k.end = nil // it is the session's now
	c.sessions[e.ID] = s
	s.end.Received = func(m any) {
		if c.Node.core == c && !c.frozen { // what resumes does, without a closure a frame
			s.take(m)
			return
		}
		c.resumes(func() { s.take(m) })
	}
	s.again = s.beat
	s.end.Ended = func(err error) { c.resumes(func() { s.finish(fmt.Errorf("session: %w", err)) }) }
	s.beat()
	s.send()
}

// beat sends the heartbeats that are due, and comes again.
func (s *session) beat() {
	if s.over {
		return
	}
	c := s.core
	seq, due, err := s.pulse.Tick(c.monotonic())
	if err != nil {
		s.finish(fmt.Errorf("session: %w", err))
		return
	}
	if due {
		s.end.Send(channel.Frame{Type: api.FrameHeartbeat, Seq: seq, Where: &s.where}, channel.FrameSize)
	}
	c.after(max(s.pulse.Next().Sub(c.monotonic()), time.Millisecond), s.again)
}

// take takes the AC's frames, as managed.Session does.
func (s *session) take(message any) {
	if s.over {
		return
	}
	c := s.core
	if leave, ok := message.(channel.Leave); ok {
		err := fmt.Errorf("session: the AC has ended it with status %d", leave.Status)
		if leave.Status == api.CloseRevoked {
			err = fmt.Errorf("%w: %w", managed.ErrDistrusted, err)
		}
		s.end.Send(leave, channel.FrameSize) // the closing handshake (RFC 6455, section 7.1.2)
		s.finish(err)
		return
	}
	f, ok := message.(channel.Frame)
	if !ok {
		s.finish(fmt.Errorf("session: the AC sent something that is no frame: %T", message))
		return
	}
	switch f.Type {
	case api.FrameHeartbeat:
		s.pulse.Heard(f.Seq, c.monotonic())
	case api.FrameExec:
		if f.Exec != nil && f.Job != "" {
			c.handOut(f)
		}
	case api.FrameSettings:
		if f.Settings != nil {
			s.settleGrace(f.Settings.Grace)
		}
	case api.FrameRotate:
		if f.Rotate != nil {
			s.rotate(*f.Rotate)
		}
	case api.FrameAck:
		c.ack(f.Job, f.Seq)
	}
	s.send()
}

// send hands out what jobs say.
func (s *session) send() {
	for !s.over {
		f, ok := s.core.next(s.number)
		if !ok {
			return
		}
		s.end.Send(f, channel.FrameSize+len(f.Data))
	}
}

// finish ends a session that did not end by itself.
func (s *session) finish(err error) {
	if s.over {
		return
	}
	s.close()
	s.core.happens(boot.Disconnected{ID: s.id, Failure: verdict.Of(err)})
}

func (s *session) close() {
	s.over = true
	delete(s.core.sessions, s.id)
	s.core.ledger.Detach(s.number)
	s.end.Close()
}

var errGivenUp = errors.New("given up")

// disconnect ends a session, or the attempt to open it.
func (c *core) disconnect(id int) {
	if op := c.operations[id]; op != nil {
		c.e.After(0, func() { op.end(errGivenUp) }) // not within a step
	}
	if s := c.sessions[id]; s != nil {
		s.end.Send(channel.Leave{Status: 1000}, channel.FrameSize)
		s.close()
	}
}
