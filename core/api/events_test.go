package api

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestEventsComeBack(t *testing.T) {
	sent := []JobEvent{
		{Job: "j", Time: time.Unix(1, 0).UTC()},
		{Job: "j", Node: "n", Name: "host", Seq: 1, Stream: "stdout", Data: bytes.Repeat([]byte{0, 0xff, '\n'}, MaxPiece/3), Cursor: "c"},
		{Job: "j", Node: "n", Seq: 2, Stream: "stderr", Data: []byte("\n")},
		{Job: "j", Node: "n", Seq: 3, State: JobError, Code: 7, Error: "why"},
		{Done: true},
	}
	var text []byte
	for _, e := range sent {
		var err error
		if text, err = AppendEvent(text, e); err != nil {
			t.Fatal(err)
		}
	}
	s := NewEvents(iotest.HalfReader(bytes.NewReader(text)))
	for i, want := range sent {
		if got, err := s.Next(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("event %d: %+v, %v", i, got, err)
		}
	}
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
	for n := 1; n < 200; n++ { // cut off within an event
		s := NewEvents(bytes.NewReader(text[:len(text)-n]))
		var err error
		for err == nil {
			_, err = s.Next()
		}
		if cut := !bytes.HasSuffix(text[:len(text)-n], []byte("\n")); cut && err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes are missing: %v", n, err)
		}
	}
}

func TestNoEvents(t *testing.T) {
	for what, text := range map[string]string{
		"no JSON":       "hello\n",
		"too much data": `{"raw":1000000}` + "\n",
		"less than no":  `{"raw":-1}` + "\n",
		"data twice":    `{"raw":1,"data":"aGk="}` + "\nx",
	} {
		if _, err := NewEvents(strings.NewReader(text)).Next(); !errors.Is(err, ErrWire) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := NewEvents(strings.NewReader(strings.Repeat("x", 2*maxEvent))).Next(); err == nil {
		t.Error("a line without end")
	}
}
