package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/hub"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/carrier"
	"github.com/g8os/g8os/internal/duplex"
)

const (
	maxChannels   = 1024               // at this AC
	maxChannelsOf = carrier.MaxStreams // to one node
	openWithin    = 10 * time.Second   // from the upgrade to the request
)

// channels counts what is open.
type channels struct {
	mu     sync.Mutex
	closed bool
	all    int
	of     map[api.NodeID]int
	open   sync.WaitGroup
}

// enter counts a channel in, if there is room for it.
func (c *channels) enter(id api.NodeID) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errors.New("the AC is stopping")
	case c.of[id] >= maxChannelsOf:
		return nil, fmt.Errorf("%d channels to this node are open already", maxChannelsOf)
	case c.all >= maxChannels:
		return nil, fmt.Errorf("%d channels are open already at this AC", maxChannels)
	}
	if c.of == nil {
		c.of = map[api.NodeID]int{}
	}
	c.all, c.of[id] = c.all+1, c.of[id]+1
	c.open.Add(1)
	return func() { c.leave(id) }, nil
}

func (c *channels) leave(id api.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.of[id]--; c.of[id] == 0 {
		delete(c.of, id)
	}
	c.open.Done()
}

func (c *channels) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// close lets none in any more and waits for those that are open, which end with
// their connections.
func (c *channels) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.open.Wait()
}

// channel makes a WebSocket of an operator a channel to a node: a shell, a
// forwarded connection, a file. It ends with the operator's right to it and
// with the node's session.
func (s *Server) channel(w http.ResponseWriter, r *http.Request) {
	node, err := s.opt.Registry.Node(r.Context(), r.PathValue("id"))
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	actor, relayed, _ := s.caller(r)
	online := s.hub.Online(node.ID)
	if !online && relayed {
		fail(w, http.StatusMisdirectedRequest, "", hub.ErrOffline)
		return
	}
	leave, err := s.channels.enter(node.ID)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "end some of them, or wait", err)
		return
	}
	defer leave()
	far, ac := duplex.Transport(nil), ""
	if !online || node.AC != "" && node.AC != s.opt.Name {
		far, ac = s.channelElsewhere(r, actor)
	}
	if far == nil {
		stream, err := s.hub.Channel(node.ID)
		if err != nil {
			fail(w, http.StatusConflict, "wait until it is managed (g8os nodes --watch); "+absent(node), err)
			return
		}
		far = duplex.Stream(stream)
	}
	defer far.Close()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.opt.Log.Debug("channel failed", "node", node.ID, "peer", r.RemoteAddr, "error", err)
		return
	}
	p := &passage{operator: duplex.Socket(ws), far: far, relay: ac != "", leave: func() { _ = ws.Close(websocket.StatusNormalClosure, "") }}
	if ac != "" {
		s.opt.Log.Info("relayed", "path", r.URL.Path, "ac", ac, "actor", actor.String())
	} else if err := s.openChannel(r.Context(), p, ws, node.ID, actor); err != nil {
		p.refuse(err)
		return
	}
	p.run(r.Context())
	if ac == "" {
		s.closeChannel(r.Context(), p, node.ID, actor)
	}
}

// openChannel hands the operator's request to the node. It is root there: its
// entry is in the audit log before.
func (s *Server) openChannel(ctx context.Context, p *passage, ws *websocket.Conn, node api.NodeID, actor api.Identity) error {
	late := time.AfterFunc(openWithin, func() { _ = ws.CloseNow() })
	defer late.Stop()
	first, err := p.operator.Receive()
	if err != nil {
		return err
	}
	if first.Kind != api.FrameOpen {
		return fmt.Errorf("channel: it begins with a frame %q, want a request", rune(first.Kind))
	}
	if err := first.Decode(&p.open); err != nil {
		return err
	}
	if err := p.open.Check(); err != nil {
		return err
	}
	p.open.By = actor.String()
	f, err := api.JSONFrame(api.FrameOpen, p.open)
	if err != nil {
		return err
	}
	if err := s.opt.Registry.Note(ctx, actor.String(), "channel", node, "opened: "+p.open.Summary()); err != nil {
		s.opt.Log.Error("channel refused: it cannot be audited", "node", node, "error", err)
		return errors.New("the AC cannot write its audit log: see its own log")
	}
	s.opt.Log.Info("channel opened", "node", node, "actor", actor.String(), "what", p.open.Summary())
	p.began = time.Now()
	return p.far.Send(f)
}

// closeChannel notes how a channel went. The operator's right to it may be over.
func (s *Server) closeChannel(ctx context.Context, p *passage, node api.NodeID, actor api.Identity) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openWithin)
	defer cancel()
	what := fmt.Sprintf("closed: %s: %d bytes to the node, %d from it, in %s, exit %d", p.open.Summary(),
		p.sent.Load(), p.got.Load(), time.Since(p.began).Round(time.Millisecond), p.end.Code)
	if p.end.Error != "" {
		what += ": " + api.Shown(p.end.Error, 256)
	}
	if err := s.opt.Registry.Note(ctx, actor.String(), "channel", node, what); err != nil {
		s.opt.Log.Error("end of a channel not audited", "node", node, "error", err)
	}
	s.opt.Log.Info("channel closed", "node", node, "actor", actor.String(), "kind", p.open.Kind,
		"sent", p.sent.Load(), "received", p.got.Load(), "code", p.end.Code, "error", p.end.Error)
}

// channelElsewhere opens a channel at the AC that has the node's session; nil:
// none of them does.
func (s *Server) channelElsewhere(r *http.Request, actor api.Identity) (far duplex.Transport, ac string) {
	if _, relayed, _ := s.caller(r); s.opt.Cluster == nil || s.opt.Peer == nil || relayed {
		return nil, ""
	}
	for _, p := range s.opt.Cluster.Others() {
		ctx, cancel := context.WithTimeout(r.Context(), relayWithin)
		ws, _, err := websocket.Dial(ctx, peerURL(p.URL, r.URL), &websocket.DialOptions{
			HTTPClient: s.opt.Peer, HTTPHeader: http.Header{onBehalf: {actor.String()}}, CompressionMode: websocket.CompressionDisabled,
		})
		cancel()
		if err != nil {
			s.opt.Log.Debug("relay failed", "ac", p.Name, "error", err)
			continue
		}
		return duplex.Socket(ws), p.Name
	}
	return nil, ""
}
