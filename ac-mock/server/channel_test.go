package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/carrier"
	"github.com/g8os/g8os/internal/duplex"
)

// channels serves what is opened on a session as a node would, beside its
// frames, until the session ends; ended is closed then.
func (s *nodeSession) channels(serve func(context.Context, net.Conn)) (ended chan struct{}) {
	s.rig.Helper()
	ended = make(chan struct{})
	mux, err := carrier.Accepter(api.WireMux, func(b []byte) error {
		return s.conn.Write(context.Background(), websocket.MessageBinary, b)
	}, serve)
	must(s.rig, err)
	go func() {
		defer close(ended)
		defer mux.Close()
		for {
			kind, message, err := s.conn.Read(context.Background())
			if err != nil || kind == websocket.MessageBinary && mux.Received(message[1:]) != nil {
				return
			}
		}
	}()
	return ended
}

// echo is a node's channel that sends back what it gets, and ends as asked.
func echo(_ context.Context, stream net.Conn) {
	t := duplex.Stream(stream)
	first, err := t.Receive()
	var open api.ChannelOpen
	if err != nil || first.Decode(&open) != nil {
		return
	}
	c := duplex.New(t, nil)
	defer c.Close()
	_ = c.SendJSON(api.FrameReady, api.ChannelReady{})
	_ = c.Send(api.ChannelFrame{Kind: api.FrameErrors, Data: []byte(open.By)})
	for {
		switch f, err := c.Next(); {
		case err != nil:
			return
		case f.Kind == api.FrameEOF:
			_ = c.SendJSON(api.FrameEnd, api.ChannelEnd{Code: 7})
			return
		default:
			_ = c.Send(f)
		}
	}
}

// withNode has a node that serves channels.
func withNode(t *testing.T, change func(*Options), serve func(context.Context, net.Conn)) (*rig, *fakeNode, *nodeSession, chan struct{}) {
	t.Helper()
	r := newRig(t, change)
	n := newNode(r, 1)
	s := n.session(n.climb())
	return r, n, s, s.channels(serve)
}

var aShell = api.ChannelOpen{Kind: api.ChannelShell, Argv: []string{"sh", "-c", "secret"}}

func TestChannel(t *testing.T) {
	r, n, _, _ := withNode(t, nil, echo)
	ch, _, err := r.operator("operator.ann").Channel(t.Context(), string(n.id), aShell)
	must(t, err)
	defer ch.Leave()
	text := bytes.Repeat([]byte("0123456789abcdef"), 128<<10) // more than all windows
	go func() {
		_ = ch.Send(api.ChannelFrame{Kind: api.FrameData, Data: text})
		_ = ch.Send(api.ChannelFrame{Kind: api.FrameEOF})
	}()
	var out, errs bytes.Buffer
	end, err := ch.Copy(t.Context(), &out, &errs, nil)
	if err != nil || end.Code != 7 || !bytes.Equal(out.Bytes(), text) || errs.String() != "spiffe://"+grid+"/operator/operator.ann" {
		t.Errorf("%+v, %v; %d bytes, by %s", end, err, out.Len(), errs.String())
	}
	who := "channel " + string(n.id) + " by spiffe://" + grid + "/operator/operator.ann: "
	eventually(t, "both entries in the audit log", func() bool {
		return r.book.did(who+"opened: shell: sh with 2 arguments") && r.book.didLike(who+"closed: shell: sh with 2 arguments: 2097152 bytes to the node, 20971")
	})
	eventually(t, "the channel counted out", func() bool { return r.srv.channels.count() == 0 })
}

// didLike says whether an action begins so.
func (b *book) didLike(what string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.actions {
		if strings.HasPrefix(a, what) {
			return true
		}
	}
	return false
}

func TestChannelRefused(t *testing.T) {
	r, n, _, _ := withNode(t, nil, echo)
	refused := func(what string, err error, status int, text string) {
		t.Helper()
		f, ok := errors.AsType[*client.Failure](err)
		if !ok || f.Status != status || !strings.Contains(f.Text, text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, err := r.operator("viewer.vic").Channel(t.Context(), string(n.id), aShell)
	refused("a viewer", err, http.StatusForbidden, "level")
	ann := r.operator("operator.ann")
	_, _, err = ann.Channel(t.Context(), "nobody", aShell)
	refused("an unknown node", err, http.StatusNotFound, "no such node")
	away := newNode(r, 2)
	away.climb()
	_, _, err = ann.Channel(t.Context(), string(away.id), aShell)
	refused("a node that is away", err, http.StatusConflict, "no session")
	for what, open := range map[string]api.ChannelOpen{
		"want shell, forward, put or get": {Kind: "root"},
		"want HOST:PORT":                  {Kind: api.ChannelForward, Address: "localhost"},
		"want one that begins with /":     {Kind: api.ChannelGet, Path: "etc/passwd"},
	} {
		if _, _, err = ann.Channel(t.Context(), string(n.id), open); !errors.Is(err, client.ErrChannel) || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v", open, err)
		}
	}
	r.book.mu.Lock()
	r.book.broken = errors.New("no store")
	r.book.mu.Unlock()
	if _, _, err = ann.Channel(t.Context(), string(n.id), aShell); !errors.Is(err, client.ErrChannel) || !strings.Contains(err.Error(), "audit") {
		t.Errorf("without an audit log: %v", err)
	}
}

// A page on another site that a browser with an operator's certificate shows
// opens no channel: browsers say where a WebSocket comes from.
func TestChannelFromAnotherSite(t *testing.T) {
	r, n, _, _ := withNode(t, nil, echo)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: r.clientTLS(r.credentials(api.RoleOperator, "admin.ann"))}}
	_, res, err := websocket.Dial(t.Context(), n.url(strings.Replace(api.PathChannel, "{id}", string(n.id), 1)),
		&websocket.DialOptions{HTTPClient: hc, HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("%v, %v", res, err)
	}
}

func TestChannelsAreLimited(t *testing.T) {
	r, n, _, _ := withNode(t, nil, echo)
	ann := r.operator("operator.ann")
	var open []*client.Channel
	for range maxChannelsOf {
		ch, _, err := ann.Channel(t.Context(), string(n.id), aShell)
		must(t, err)
		open = append(open, ch)
	}
	_, _, err := ann.Channel(t.Context(), string(n.id), aShell)
	if f, ok := errors.AsType[*client.Failure](err); !ok || f.Status != http.StatusServiceUnavailable {
		t.Errorf("one too many: %v", err)
	}
	for _, ch := range open {
		ch.Leave()
	}
	eventually(t, "room again", func() bool { return r.srv.channels.count() == 0 })
	ch, _, err := ann.Channel(t.Context(), string(n.id), aShell)
	must(t, err)
	ch.Leave()
}

// endsSoon reads a channel to its end, which is to come within a second and a
// machine's load, and to say why.
func endsSoon(t *testing.T, ch *client.Channel, why string) {
	t.Helper()
	began := time.Now()
	_, err := ch.Copy(t.Context(), io.Discard, io.Discard, nil)
	if took := time.Since(began); !errors.Is(err, client.ErrChannel) || !strings.Contains(err.Error(), why) || took > 5*time.Second {
		t.Errorf("after %s: %v, want %q", took, err, why)
	}
	ch.Leave()
}

func TestChannelEndsWithTheSession(t *testing.T) {
	r, n, s, _ := withNode(t, nil, echo)
	ch, _, err := r.operator("operator.ann").Channel(t.Context(), string(n.id), aShell)
	must(t, err)
	_ = s.conn.CloseNow()
	endsSoon(t, ch, "the node's session with its AC ended")
	eventually(t, "the channel counted out", func() bool { return r.srv.channels.count() == 0 })
}

// An operator who goes away ends his channel at the node.
func TestChannelEndsWithTheOperator(t *testing.T) {
	gone := make(chan error, 1)
	r, n, _, _ := withNode(t, nil, func(_ context.Context, stream net.Conn) {
		c := duplex.Stream(stream)
		_, _ = c.Receive()
		f, _ := api.JSONFrame(api.FrameReady, api.ChannelReady{})
		_ = c.Send(f)
		_, err := c.Receive()
		gone <- err
	})
	ch, _, err := r.operator("operator.ann").Channel(t.Context(), string(n.id), aShell)
	must(t, err)
	ch.Leave()
	if err := <-gone; !errors.Is(err, io.EOF) {
		t.Errorf("the node sees %v, want the end", err)
	}
}

// A node that breaks the rules loses its session, and nobody else theirs.
func TestHostileNodeOfChannels(t *testing.T) {
	for what, message := range map[string][]byte{
		"opens a stream":  {api.WireMux, 0, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0},
		"sends pings":     {api.WireMux, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1},
		"sends rubbish":   []byte("m not a frame of any kind"),
		"sends too much":  {api.WireMux, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
		"sends no prefix": {},
	} {
		t.Run(what, func(t *testing.T) {
			r, n, s, ended := withNode(t, nil, echo)
			ch, _, err := r.operator("operator.ann").Channel(t.Context(), string(n.id), aShell)
			must(t, err)
			must(t, s.conn.Write(t.Context(), websocket.MessageBinary, message))
			<-ended
			endsSoon(t, ch, "session")
			r.alive()
		})
	}
	t.Run("before any channel", func(t *testing.T) {
		_, _, s, ended := withNode(t, nil, echo)
		must(t, s.conn.Write(t.Context(), websocket.MessageBinary, []byte("m")))
		<-ended
	})
}

// A node that sends more frames than it may, or other ones, ends the channel.
func TestHostileFramesOfANode(t *testing.T) {
	for what, send := range map[string]func(duplex.Transport) error{
		"an unknown frame": func(c duplex.Transport) error { return c.Send(api.ChannelFrame{Kind: '?'}) },
		"an operator's": func(c duplex.Transport) error {
			return c.Send(api.ChannelFrame{Kind: api.FrameResize, Data: []byte("{}")})
		},
		"a long one": func(c duplex.Transport) error {
			return c.Send(api.ChannelFrame{Kind: api.FrameData, Data: make([]byte, 1<<20)})
		},
		"an end that is none": func(c duplex.Transport) error { return c.Send(api.ChannelFrame{Kind: api.FrameEnd, Data: []byte("{")}) },
	} {
		r, n, _, _ := withNode(t, nil, func(_ context.Context, stream net.Conn) {
			c := duplex.Stream(stream)
			_, _ = c.Receive()
			f, _ := api.JSONFrame(api.FrameReady, api.ChannelReady{})
			_ = c.Send(f)
			_ = send(c)
			_, _ = c.Receive()
		})
		ch, _, err := r.operator("operator.ann").Channel(t.Context(), string(n.id), aShell)
		if err != nil {
			t.Fatal(what, err)
		}
		endsSoon(t, ch, "")
		eventually(t, fmt.Sprint(what, ": the channel counted out"), func() bool { return r.srv.channels.count() == 0 })
	}
}
