package api

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// The first byte of a session's binary messages says what the rest is.
const (
	WireOutput = 'o' // an output frame, see AppendOutput
	WireMux    = 'm' // bytes of the yamux session that carries shells, forwarded ports and files
)

// MaxPiece bounds the Data of one output frame in bytes.
const MaxPiece = 64 << 10

// ErrWire is wrapped when a binary message is not what its first byte says.
var ErrWire = errors.New("not a binary message of a session")

// AppendOutput appends an output frame as a binary message: WireOutput, the
// length of the header as a uvarint, the header (the frame without Data, in
// JSON), Data as it is. JSON alone would make base64 of what a job says, which
// costs a third more on the wire and most of the time of both ends.
func AppendOutput(to []byte, f Frame) ([]byte, error) {
	data := f.Data
	f.Data = nil
	header, err := json.Marshal(f)
	if err != nil {
		return to, fmt.Errorf("output of job %s: %w", f.Job, err)
	}
	to = append(to, WireOutput)
	to = binary.AppendUvarint(to, uint64(len(header)))
	to = append(to, header...)
	return append(to, data...), nil
}

// ParseOutput reads what AppendOutput wrote. The frame's Data is a part of
// message, and nil when there is none.
func ParseOutput(message []byte) (Frame, error) {
	var f Frame
	if len(message) == 0 || message[0] != WireOutput {
		return f, fmt.Errorf("%w: it does not begin with %q", ErrWire, WireOutput)
	}
	size, n := binary.Uvarint(message[1:])
	if n <= 0 || size > uint64(len(message)-1-n) {
		return f, fmt.Errorf("%w: its header is longer than the %d bytes of all", ErrWire, len(message))
	}
	header, data := message[1+n:1+n+int(size)], message[1+n+int(size):]
	if err := json.Unmarshal(header, &f); err != nil {
		return Frame{}, fmt.Errorf("%w: header: %w", ErrWire, err)
	}
	if f.Type != FrameOutput || f.Data != nil || len(data) > MaxPiece {
		return Frame{}, fmt.Errorf("%w: a header of type %.32q with %d bytes of data, %d after it", ErrWire, f.Type, len(f.Data), len(data))
	}
	if len(data) > 0 {
		f.Data = data
	}
	return f, nil
}
