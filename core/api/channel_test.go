package api

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestChannelFrames(t *testing.T) {
	var stream []byte
	frames := []ChannelFrame{{FrameOpen, []byte("{}")}, {FrameData, make([]byte, ChannelChunk)}, {FrameEOF, []byte{}}, {FrameTaken, []byte{0, 0, 0, 1}}}
	for _, f := range frames {
		stream = append(stream, f.AppendStream(nil)...)
		got, err := ParseChannelFrame(f.AppendMessage(nil))
		if err != nil || got.Kind != f.Kind || !bytes.Equal(got.Data, f.Data) {
			t.Errorf("%q: %v", rune(f.Kind), err)
		}
	}
	r := bytes.NewReader(stream)
	for _, f := range frames {
		got, err := ReadChannelFrame(r)
		if err != nil || got.Kind != f.Kind || !bytes.Equal(got.Data, f.Data) {
			t.Errorf("%q: %v", rune(f.Kind), err)
		}
	}
	if _, err := ReadChannelFrame(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := ReadChannelFrame(bytes.NewReader(stream[:3])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
}

func TestChannelSummary(t *testing.T) {
	for want, o := range map[string]ChannelOpen{
		"shell: login shell":                       {Kind: ChannelShell},
		"shell: psql with 1 arguments as postgres": {Kind: ChannelShell, Argv: []string{"psql", "password=x"}, User: "postgres"},
		"forward: to 127.0.0.1:80":                 {Kind: ChannelForward, Address: "127.0.0.1:80"},
		"put: /etc/h?sts":                          {Kind: ChannelPut, Path: "/etc/h\nsts"},
	} {
		if got := o.Summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzChannelOpen: what is read as a request and found good can be served: it
// has all that its kind needs, and reads the same again.
func FuzzChannelOpen(f *testing.F) {
	for _, o := range []ChannelOpen{{Kind: ChannelShell, Argv: []string{"ls"}}, {Kind: ChannelForward, Address: "[::1]:80"}, {Kind: ChannelPut, Path: "/x", Name: "x"}} {
		frame, err := JSONFrame(FrameOpen, o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame.AppendStream(nil))
	}
	f.Add([]byte{'o', 0, 0, 0, 2, '{', '}'})
	f.Add([]byte{'d', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := ReadChannelFrame(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(frame.Data) > MaxChannel || !bytes.HasPrefix(data, frame.AppendStream(nil)) {
			t.Fatalf("%d bytes of %q out of %q", len(frame.Data), rune(frame.Kind), data)
		}
		var o ChannelOpen
		if frame.Decode(&o) != nil || o.Check() != nil {
			return
		}
		switch o.Kind {
		case ChannelShell:
		case ChannelForward:
			if o.Address == "" {
				t.Fatal("a forward to nowhere")
			}
		case ChannelPut, ChannelGet:
			if o.Path == "" || o.Path[0] != '/' {
				t.Fatalf("a file at %q", o.Path)
			}
		default:
			t.Fatalf("a channel of kind %q", o.Kind)
		}
		again, err := JSONFrame(FrameOpen, o)
		if err != nil {
			return
		}
		var second ChannelOpen
		if err := again.Decode(&second); err != nil || second.Check() != nil {
			t.Fatalf("%v, %v", err, second.Check())
		}
	})
}
