package dispatch

import (
	"errors"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
)

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte(`{"type":"heartbeat","seq":1,"where":{"phase":"managed"}}`))
	f.Add([]byte(`{"type":"output","job":"j1","seq":1,"stream":"stdout","data":"aGk="}`))
	f.Add([]byte(`{"type":"exit","job":"j1","seq":2,"code":3}`))
	f.Add([]byte(`{"type":"exec","job":"j1"}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		frame, err := DecodeFrame(message)
		if err != nil {
			return
		}
		switch frame.Type {
		case api.FrameHeartbeat, api.FrameEvent, api.FrameMetrics:
		case api.FrameStarted:
			if CheckJobID(frame.Job) != nil {
				t.Errorf("accepted: %+v", frame)
			}
		case api.FrameOutput, api.FrameExit:
			if frame.Seq == 0 || CheckJobID(frame.Job) != nil {
				t.Errorf("accepted: %+v", frame)
			}
		default:
			t.Errorf("a node may not send %q", frame.Type)
		}
	})
}

func TestDecodeFrameRefuses(t *testing.T) {
	for _, m := range []string{
		``, `{`, `[]`, `{}`, `{"type":"exec","job":"a","seq":1}`, `{"type":"ack","job":"a","seq":1}`,
		`{"type":"output","job":"a","seq":1}`, `{"type":"output","job":"a","stream":"stdout"}`,
		`{"type":"exit","job":"../a","seq":1}`, `{"type":"exit","seq":1}`, `{"type":"rotate"}`, `{"type":"rotate","rotate":null}`,
		`{"type":"started"}`, `{"type":"event","event":{}}`, `{"type":"event","seq":1}`, `{"type":"metrics"}`,
		`{"type":"exit","job":"` + strings.Repeat("x", 65) + `","seq":1}`,
		`{"type":"heartbeat","job":"` + strings.Repeat("x", api.MaxFrame) + `"}`,
	} {
		if f, err := DecodeFrame([]byte(m)); err == nil {
			t.Errorf("%.60s is accepted: %+v", m, f)
		}
	}
}

func TestDecodeBinary(t *testing.T) {
	for stream, good := range map[string]bool{"stdout": true, "": false, "stdin": false} {
		message, err := api.AppendOutput(nil, api.Frame{Type: api.FrameOutput, Job: "j", Seq: 1, Stream: stream, Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if f, err := DecodeBinary(message); (err == nil) != good || err != nil && !errors.Is(err, ErrFrame) {
			t.Errorf("stream %q: %+v, %v", stream, f, err)
		}
	}
	if f, err := DecodeBinary([]byte{api.WireMux}); !errors.Is(err, ErrFrame) {
		t.Errorf("%+v, %v", f, err)
	}
}
