package api

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
)

func TestOutputMessages(t *testing.T) {
	for _, f := range []Frame{
		{Type: FrameOutput, Job: "j", Seq: 1, Stream: "stdout", Data: []byte("words\n")},
		{Type: FrameOutput, Job: "j", Seq: 2, Stream: "stderr", Data: bytes.Repeat([]byte{0, 0xff}, MaxPiece/2)},
		{Type: FrameOutput, Job: "j", Seq: 3},
	} {
		message, err := AppendOutput([]byte("before"), f)
		if err != nil || len(message) > MaxFrame {
			t.Fatalf("%d bytes, %v", len(message), err)
		}
		got, err := ParseOutput(message[len("before"):])
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%d: came back as %+v, %v", f.Seq, got, err)
		}
	}
}

func TestOutputMessagesRefused(t *testing.T) {
	header := func(text string, data int) []byte {
		return append(append(binary.AppendUvarint([]byte{WireOutput}, uint64(len(text))), text...), make([]byte, data)...)
	}
	for name, message := range map[string][]byte{
		"empty":              nil,
		"another kind":       {WireMux, 1, 2},
		"no length":          {WireOutput},
		"endless length":     bytes.Repeat([]byte{WireOutput, 0xff}, 20),
		"longer than it is":  binary.AppendUvarint([]byte{WireOutput}, 1<<63),
		"no JSON":            header("{", 0),
		"no output":          header(`{"type":"exit","job":"j","seq":1}`, 0),
		"data in the header": header(`{"type":"output","job":"j","seq":1,"data":"YQ=="}`, 0),
		"too much data":      header(`{"type":"output","job":"j","seq":1}`, MaxPiece+1),
	} {
		if f, err := ParseOutput(message); !errors.Is(err, ErrWire) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func FuzzParseOutput(f *testing.F) {
	good, _ := AppendOutput(nil, Frame{Type: FrameOutput, Job: "j", Seq: 1, Stream: "stdout", Data: []byte("x")})
	f.Add(good)
	f.Fuzz(func(t *testing.T, message []byte) {
		frame, err := ParseOutput(message)
		if err != nil {
			return
		}
		again, err := AppendOutput(nil, frame)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseOutput(again); err != nil || !reflect.DeepEqual(back, frame) {
			t.Fatalf("%+v came back as %+v, %v", frame, back, err)
		}
	})
}
