package channel

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/duplex"
)

// operator is the other end of a channel, in a test.
type operator struct {
	*duplex.Conn
	t      *testing.T
	served chan struct{} // the node has done with it
}

// open opens a channel to a node that runs in the test.
func open(t *testing.T, o api.ChannelOpen) *operator {
	t.Helper()
	here, there := net.Pipe()
	op := &operator{t: t, served: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(op.served)
		defer there.Close()
		(&Server{Log: slog.New(slog.DiscardHandler)}).Serve(ctx, there)
	}()
	op.Conn = duplex.New(duplex.Stream(here), nil)
	t.Cleanup(func() {
		cancel()
		op.Close()
		<-op.served
	})
	if err := op.SendJSON(api.FrameOpen, o); err != nil {
		t.Fatal(err)
	}
	return op
}

func (op *operator) next() api.ChannelFrame {
	op.t.Helper()
	f, err := op.Next()
	if err != nil {
		op.t.Fatal(err)
	}
	return f
}

func (op *operator) ready() (r api.ChannelReady) {
	op.t.Helper()
	f := op.next()
	if f.Kind != api.FrameReady {
		op.t.Fatalf("frame %q %s, want ready", rune(f.Kind), f.Data)
	}
	if err := f.Decode(&r); err != nil {
		op.t.Fatal(err)
	}
	return r
}

func (op *operator) say(s string) {
	op.t.Helper()
	if err := op.Send(api.ChannelFrame{Kind: api.FrameData, Data: []byte(s)}); err != nil {
		op.t.Fatal(err)
	}
}

func (op *operator) eof() {
	op.t.Helper()
	if err := op.Send(api.ChannelFrame{Kind: api.FrameEOF}); err != nil {
		op.t.Fatal(err)
	}
}

// end reads up to the end.
func (op *operator) end() (stdout, stderr string, end api.ChannelEnd) {
	op.t.Helper()
	var out, errs bytes.Buffer
	for {
		switch f := op.next(); f.Kind {
		case api.FrameData:
			out.Write(f.Data)
		case api.FrameErrors:
			errs.Write(f.Data)
		case api.FrameEOF:
		case api.FrameEnd:
			if err := f.Decode(&end); err != nil {
				op.t.Fatal(err)
			}
			return out.String(), errs.String(), end
		default:
			op.t.Fatalf("a frame %q", rune(f.Kind))
		}
	}
}

func (op *operator) gone() {
	op.t.Helper()
	select {
	case <-op.served:
	case <-time.After(time.Minute):
		op.t.Fatal("the node still serves a channel that is over")
	}
}

// What is not a request is answered with what is wrong, and ends.
func TestHostileBeginnings(t *testing.T) {
	for what, send := range map[string][]byte{
		"nothing":          {},
		"rubbish":          []byte("GET / HTTP/1.1\r\n\r\n"),
		"too long":         {byte(api.FrameOpen), 0xff, 0xff, 0xff, 0xff},
		"no request":       api.ChannelFrame{Kind: api.FrameData, Data: []byte("x")}.AppendStream(nil),
		"no JSON":          api.ChannelFrame{Kind: api.FrameOpen, Data: []byte("x")}.AppendStream(nil),
		"unknown kind":     api.ChannelFrame{Kind: api.FrameOpen, Data: []byte(`{"kind":"root"}`)}.AppendStream(nil),
		"relative path":    api.ChannelFrame{Kind: api.FrameOpen, Data: []byte(`{"kind":"get","path":"../x"}`)}.AppendStream(nil),
		"in the middle of": {byte(api.FrameOpen), 0, 0, 0, 9, '{'},
	} {
		here, there := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			defer there.Close()
			(&Server{Log: slog.New(slog.DiscardHandler)}).Serve(t.Context(), there)
		}()
		go func() { // the rest of it, if the node has stopped reading
			_, _ = here.Write(send)
			if what == "nothing" || what == "in the middle of" {
				_ = here.Close()
			}
		}()
		_, _ = io.Copy(io.Discard, here)
		_ = here.Close()
		<-served
	}
}
