package controller

import (
	"context"
	"crypto/x509"
	"net/http"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/sim/channel"
)

// session is a node's session with this AC, as ac-mock/hub has it.
type session struct {
	run     *run
	conn    *conn
	node    api.NodeID
	number  uint64
	cert    *x509.Certificate
	where   api.Whereabouts
	renewed bool // replaced by one with another certificate
	pushed  bool // replaced by a newer one
}

// open makes a session of a connection, or refuses.
func (k *conn) open() {
	r := k.run
	refuse := func() { k.end.Send(channel.Response{Status: http.StatusForbidden}, channel.RequestHead) }
	if k.node == "" {
		refuse()
		return
	}
	cert := k.client[0]
	if err := r.registry.Admit(k.node, cert); err != nil {
		refuse()
		return
	}
	k.end.Send(channel.Response{Status: http.StatusSwitchingProtocols}, channel.RequestHead)
	r.o.Watcher.Granted(r.Controller, k.end.Peer(), k.node, "a session")
	r.numbers++
	s := &session{run: r, conn: k, node: k.node, number: r.numbers, cert: cert}
	k.session = s
	now := r.Now()
	if r.presence.Opened(s.node, s.number, now) != 0 {
		old := r.sessions[s.node]
		s.where, old.renewed, old.pushed = old.where, !old.cert.Equal(cert), true
		old.conn.end.Send(channel.Leave{Status: api.CloseReplaced}, channel.FrameSize)
	}
	r.sessions[s.node] = s
	settings := r.registry.Settings(s.node)
	s.Send(channel.Frame{Type: api.FrameSettings, Settings: &settings})
	r.jobs.Attached(s.node, s)
	r.write()
	if r.Faults.Active(fault.LoseSession, s.node, now) {
		r.after(fault.SessionLife, s.cut)
	}
	r.after(max(cert.NotAfter.Sub(now), 0)+1, func() { r.recheckOne(s) }) // a certificate runs out without an event
}

// Send sends a frame (jobs.Session).
func (s *session) Send(f channel.Frame) { s.conn.end.Send(f, channel.FrameSize+len(f.Data)) }

// Cut ends the session in a moment (jobs.Session).
func (s *session) Cut(string) {
	s.run.after(0, func() {
		if s.conn.session == s {
			s.cut()
		}
	})
}

// received steps the machines with a frame of the node.
func (s *session) received(f channel.Frame) {
	r, now := s.run, s.run.Now()
	if !r.presence.Heard(s.node, s.number, now) {
		return
	}
	switch f.Type {
	case api.FrameHeartbeat:
		if f.Where != nil && *f.Where != s.where {
			s.where = f.Where.Shown()
		}
		r.registry.Seen(s.node, s.where, true)
		s.Send(channel.Frame{Type: api.FrameHeartbeat, Seq: f.Seq})
	case api.FrameRotate:
		if f.Rotate != nil {
			r.rotating.Answered(s.node, *f.Rotate)
			r.rotateSoon()
		}
	case api.FrameStarted, api.FrameOutput, api.FrameExit:
		r.jobs.Received(s.node, f)
		r.write()
	}
}

// ended is told when the connection is over. A replaced session whose node took
// leave properly had a living machine behind it.
func (s *session) ended(status int) {
	r, now := s.run, s.run.Now()
	s.conn.session = nil
	s.conn.end.Close()
	r.drop(s)
	if s.pushed && status == api.CloseReplaced && !s.renewed && r.presence.Answered(s.node, now) {
		actor := api.Identity{Grid: r.o.Grid, Role: api.RoleAC, Name: r.o.Name}.String()
		_, _ = r.registry.Suspect(context.Background(), actor, string(s.node), "clone: two machines hold sessions with this node's certificate in turn")
		r.revokedNow()
	}
}

// drop forgets a session, if it is the one that counts.
func (r *run) drop(s *session) {
	if !r.presence.Closed(s.node, s.number) {
		return
	}
	delete(r.sessions, s.node)
	r.jobs.Detached(s.node)
	if s.where != (api.Whereabouts{}) {
		r.registry.Seen(s.node, s.where, false)
	}
}

// cut ends a session without a word; leave says why.
func (s *session) cut() {
	s.run.drop(s)
	s.conn.session = nil
	s.conn.end.Abort()
}

func (s *session) leave(status int) {
	s.run.drop(s)
	s.conn.session = nil
	s.conn.end.Send(channel.Leave{Status: status}, channel.FrameSize)
	s.conn.end.Close()
}

// revokedNow ends the sessions of nodes that have lost their right to one.
func (r *run) revokedNow() {
	for _, id := range r.registry.TakeRevoked() {
		if s := r.sessions[id]; s != nil {
			s.leave(api.CloseRevoked)
		}
	}
}

// recheck ends the sessions whose certificate does not hold any more.
func (r *run) recheck() {
	for _, s := range r.inOrder() {
		r.recheckOne(s)
	}
}

func (r *run) recheckOne(s *session) {
	if r.sessions[s.node] == s && r.registry.Holds(s.node, s.cert) != nil {
		s.leave(api.CloseRevoked)
	}
}

// Cut ends sessions without a word, as faults do when they are armed.
func (c *Controller) Cut(meant func(api.NodeID) bool) {
	if c.run == nil {
		return
	}
	for _, s := range c.run.inOrder() {
		if meant(s.node) {
			s.cut()
		}
	}
}

// Online says whether a node has a session here.
func (c *Controller) Online(id api.NodeID) bool { return c.run != nil && c.run.sessions[id] != nil }
