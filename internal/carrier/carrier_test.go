package carrier

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// Messages of a byte each take no more room than their bytes, and come out whole
// and in order, whatever becomes of the buffers that they were in.
func TestSmallMessagesTakeLittleRoom(t *testing.T) {
	p := newPipe('m', func([]byte) error { return nil }, true)
	defer p.Close()
	frame := []byte{version, typeData, 0, flagSYN, 0, 0, 0, 1}
	frame = binary.BigEndian.AppendUint32(frame, window)
	for i := range window {
		frame = append(frame, byte(i^i>>8))
	}
	for round := range 3 {
		one := make([]byte, 1)
		for _, b := range frame {
			one[0] = b
			if err := p.received(one); err != nil {
				t.Fatal(err)
			}
		}
		if most := len(frame)/chunk + 1; len(p.in) > most {
			t.Errorf("%d bytes lie in %d rooms of %d, at most %d are needed", len(frame), len(p.in), chunk, most)
		}
		got := make([]byte, len(frame))
		if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, frame) {
			t.Fatalf("round %d: what was received is not what was sent: %v", round, err)
		}
		if len(p.in) > 0 || p.inSize != 0 {
			t.Errorf("%d rooms with %d bytes are left when all was read", len(p.in), p.inSize)
		}
	}
}
