package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/metrics"
	"github.com/g8os/g8os/core/api"
)

// ErrOffline is wrapped when a node has no session here.
var ErrOffline = errors.New("node has no session with this AC")

// Jobs is told what concerns the jobs of nodes (ac-mock/jobs).
type Jobs interface {
	Attached(api.NodeID, jobs.Session)
	Detached(api.NodeID)
	Received(api.NodeID, api.Frame)            // started, output or exit
	Absorb(ctx context.Context, id api.NodeID) // waits while too much of its output is not durable yet
}

// Liveness is told which nodes are alive, and where. Its methods must not
// block on storage: heartbeats call them.
type Liveness interface {
	// Seen is called at every heartbeat, and with online false and where the
	// node was last when its session has ended.
	Seen(id api.NodeID, where api.Whereabouts, online bool)
	Clone(id api.NodeID, why string)
}

// Options of a Hub. All fields but Timing (dispatch.DefaultTiming), Measured and
// Event must be set.
type Options struct {
	Liveness Liveness
	Jobs     Jobs
	Settings func(api.NodeID) api.Settings // sent to a node when its session begins
	Rotated  func(api.NodeID, api.Rotate)  // what a node answered to Rotate; it must not block
	// Measured is what a node measured, and Event something that it noticed, which
	// it sends until AckEvent: neither may block. What they say nobody has checked.
	// nil: they are not wanted here.
	Measured func(api.NodeID, api.Metrics)
	Event    func(api.NodeID, api.NodeEvent)
	Faults   *fault.Set
	Timing   dispatch.Timing
	Clock    func() time.Time
	Metrics  *metrics.Metrics
	Log      *slog.Logger
}

// Hub is the shell around package dispatch: it owns the WebSockets and the
// clock. All methods may be called concurrently.
type Hub struct {
	opt Options

	mu       sync.Mutex
	numbers  uint64
	sessions map[api.NodeID]*session
	presence *dispatch.Presence
	readers  sync.WaitGroup
	closed   bool
}

// New makes a Hub without sessions. Run has to be called too.
func New(o Options) *Hub {
	if o.Timing == (dispatch.Timing{}) {
		o.Timing = dispatch.DefaultTiming
	}
	return &Hub{
		opt: o, sessions: map[api.NodeID]*session{}, presence: dispatch.NewPresence(o.Timing.Silence),
	}
}

// Run drives what depends on time until ctx ends; then all sessions are closed
// (going away, so that nodes turn to another AC) and their readers waited for.
func (h *Hub) Run(ctx context.Context) {
	ticker := time.NewTicker(min(max(h.opt.Timing.Silence/10, 10*time.Millisecond), recheckEvery))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			h.shutdown()
			return
		case <-ticker.C:
			h.tick(h.opt.Clock())
			h.recheck()
		}
	}
}

func (h *Hub) shutdown() {
	h.mu.Lock()
	h.closed = true
	for _, s := range h.sessions {
		s.close(websocket.StatusGoingAway, "the AC is stopping")
	}
	h.mu.Unlock()
	h.readers.Wait()
}

func (h *Hub) tick(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.presence.Silent(now) {
		if s := h.sessions[id]; s != nil {
			h.opt.Log.Warn("session cut: silent", "node", id, "for", h.opt.Timing.Silence)
			h.drop(s, now, "silent")
			s.close(api.CloseSilent, "silent")
		}
	}
}

// Accept makes a session out of a node's request. The caller has proved that
// the request is the node's own. It returns at once: the connection lives on,
// as long as holds, asked now and again later, returns nil. holds must not
// block.
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request, id api.NodeID, holds func() error) error {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return fmt.Errorf("session of node %s: %w", id, err)
	}
	conn.SetReadLimit(api.MaxFrame)
	return h.open(id, conn, certificateOf(r), holds)
}

func certificateOf(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return r.TLS.PeerCertificates[0].SerialNumber.String()
}

func (h *Hub) open(id api.NodeID, conn *websocket.Conn, certificate string, holds func() error) error {
	now := h.opt.Clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.numbers++
	s := &session{hub: h, node: id, number: h.numbers, conn: conn, certificate: certificate, holds: holds}
	s.life, s.end = context.WithCancel(context.Background())
	if h.closed {
		s.close(websocket.StatusGoingAway, "the AC is stopping")
		return nil
	}
	// Under the lock that Revoked takes: a revocation before this is seen here,
	// one after it finds the session.
	if err := holds(); err != nil {
		s.close(api.CloseRevoked, "certificate revoked")
		return fmt.Errorf("session of node %s: %w", id, err)
	}
	if h.presence.Opened(id, s.number, now) != 0 {
		old := h.sessions[id]
		s.where, old.renewed = old.where, old.certificate != certificate
		h.opt.Metrics.SessionEnded("replaced")
		old.close(api.CloseReplaced, "replaced by a newer session")
	}
	h.sessions[id] = s
	h.opt.Metrics.SessionOpened()
	settings := h.opt.Settings(id)
	s.Send(api.Frame{Type: api.FrameSettings, Settings: &settings})
	h.opt.Jobs.Attached(id, s)
	h.readers.Go(func() { h.serve(s) })
	if h.faulty(fault.LoseSession, id) {
		time.AfterFunc(fault.SessionLife, s.cut)
	}
	return nil
}

// serve reads a session to its end.
func (h *Hub) serve(s *session) {
	status := s.read()
	s.cut()
	_ = s.conn.CloseNow()
	now := h.opt.Clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(s, now, "left")
	// A node that renews its certificate comes again with the new one. (A clone
	// that does is found by the counter of its requests.)
	if status == api.CloseReplaced && !s.renewed && h.presence.Answered(s.node, now) {
		h.opt.Liveness.Clone(s.node, "two machines hold sessions with this node's certificate in turn")
	}
}

// drop forgets a session, if it is the one that counts.
func (h *Hub) drop(s *session, now time.Time, why string) {
	if !h.presence.Closed(s.node, s.number) {
		return
	}
	h.opt.Metrics.SessionEnded(why)
	delete(h.sessions, s.node)
	h.opt.Jobs.Detached(s.node)
	if s.where != (api.Whereabouts{}) { // else it never said that it is there
		h.opt.Liveness.Seen(s.node, s.where, false)
	}
}

// received steps the machines with a frame of a node. Frames that come after a
// session was replaced or dropped do not count: their sender sends them again.
func (h *Hub) received(s *session, f api.Frame) {
	now := h.opt.Clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.presence.Heard(s.node, s.number, now) {
		return
	}
	h.opt.Metrics.Frame(string(f.Type))
	switch f.Type {
	case api.FrameHeartbeat:
		if f.Where != nil {
			s.where = f.Where.Shown()
		}
		h.opt.Liveness.Seen(s.node, s.where, true)
		s.Send(api.Frame{Type: api.FrameHeartbeat, Seq: f.Seq, Time: &now})
	case api.FrameRotate:
		h.opt.Rotated(s.node, *f.Rotate)
	case api.FrameMetrics, api.FrameEvent:
		h.noticed(s.node, f)
	case api.FrameStarted, api.FrameOutput, api.FrameExit:
		h.opt.Jobs.Received(s.node, f)
	}
}

// Online says whether a node has a session here.
func (h *Hub) Online(id api.NodeID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id] != nil
}

// Sessions says how many nodes have a session here.
func (h *Hub) Sessions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

// Settle sends their settings, as they are now, to nodes that have a session here;
// without an id to all of them.
func (h *Hub) Settle(ids ...api.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(ids) == 0 {
		ids = slices.Collect(maps.Keys(h.sessions))
	}
	for _, id := range ids {
		if s := h.sessions[id]; s != nil {
			settings := h.opt.Settings(id)
			s.Send(api.Frame{Type: api.FrameSettings, Settings: &settings})
		}
	}
}

func (h *Hub) faulty(name string, id api.NodeID) bool {
	return h.opt.Faults.Active(name, id, h.opt.Clock())
}
