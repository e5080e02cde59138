package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/events"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

// eventful is a rig whose AC keeps events.
func eventful(t *testing.T) *rig {
	var srv *Server
	st := memory.New(memory.Options{})
	log := events.New(events.Options{
		Store: st, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Ack: func(id api.NodeID, seq uint64) { srv.AckEvent(id, seq) },
	})
	r := newRig(t, func(o *Options) { o.Events = log })
	srv = r.srv
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { log.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait(); _ = st.Close() })
	return r
}

func noticed(seq uint64, level int, text string) api.Frame {
	return api.Frame{Type: api.FrameEvent, Seq: seq, Event: &api.NodeEvent{Seq: 999, Node: "020000000099", Time: time.Unix(int64(seq), 0), Level: level, Source: "core", Text: text}}
}

var errEnough = errors.New("enough")

// What a node notices is acknowledged, and shown to whoever asks or waits, under
// the node's own name and number, and without what a terminal would obey.
func TestEvents(t *testing.T) {
	r := eventful(t)
	n := newNode(r, 1)
	s := n.session(n.climb())
	s.send(noticed(1, 7, "disk\x1b[2J\nis full"))
	s.send(noticed(2, 99, strings.Repeat("x", 5000)))
	for seq := uint64(0); seq < 2; {
		f := s.want(api.FrameAck)
		if f.Job != "" {
			t.Fatalf("%+v", f)
		}
		seq = f.Seq
	}
	viewer := r.operator("viewer.vic")
	var list []api.NodeEvent
	take := func(e api.NodeEvent) error { list = append(list, e); return nil }
	eventually(t, "both are shown", func() bool {
		list = nil
		must(t, viewer.Events(t.Context(), client.EventsQuery{}, take))
		return len(list) == 2
	})
	if e := list[0]; e.Node != n.id || e.Seq != 1 || e.Text != "disk [2J is full" || e.Name == "" || e.Cursor == "" {
		t.Errorf("%+v", e)
	}
	if e := list[1]; e.Level != 11 || len(e.Text) != api.MaxEventText {
		t.Errorf("level %d, %d bytes of text", e.Level, len(e.Text))
	}
	go s.send(noticed(3, 8, "more"))
	var more api.NodeEvent
	err := viewer.Events(t.Context(), client.EventsQuery{After: list[1].Cursor, Node: n.mac, Level: 8, Follow: true}, func(e api.NodeEvent) error {
		more = e
		return errEnough
	})
	if !errors.Is(err, errEnough) || more.Seq != 3 {
		t.Errorf("%+v, %v", more, err)
	}
	for _, bad := range []client.EventsQuery{{Node: "nobody"}, {After: "nonsense"}, {Level: -1}} {
		if f, is := errors.AsType[*client.Failure](viewer.Events(t.Context(), bad, take)); !is || f.Remedy == "" {
			t.Errorf("%+v: %v", bad, f)
		}
	}
}

// A node that floods keeps its session, which goes on answering; what is kept
// of it is bounded.
func TestFloodOfEvents(t *testing.T) {
	r := eventful(t)
	n := newNode(r, 1)
	s := n.session(n.climb())
	read := make(chan error, 1)
	pulse := make(chan uint64, 1)
	go func() {
		for {
			f, err := s.read()
			if err != nil {
				read <- err
				return
			}
			if f.Type == api.FrameHeartbeat {
				pulse <- f.Seq
			}
		}
	}()
	for i := range 5 {
		for j := range 1000 {
			s.send(noticed(uint64(1000*i+j+1), 7, strings.Repeat("flood ", 100)))
		}
		s.send(api.Frame{Type: api.FrameHeartbeat, Seq: uint64(i + 1), Where: &api.Whereabouts{Phase: "managed"}})
		select {
		case seq := <-pulse:
			if seq != uint64(i+1) {
				t.Errorf("heartbeat %d is answered", seq)
			}
		case err := <-read:
			t.Fatalf("the session ended: %v", err)
		case <-time.After(30 * time.Second):
			t.Fatal("a heartbeat is not answered")
		}
	}
	if kept, waiting := r.srv.keptEvents(); kept+waiting > 10*api.MaxEvents {
		t.Errorf("%d are kept, %d wait", kept, waiting)
	}
	r.alive()
}
