package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// RawEvents is the Content-Type of a job's stream for who accepts it, instead of
// plain lines: each event is a line of JSON in which raw says how many bytes of
// Data follow the line as they are (see AppendOutput for why).
const RawEvents = "application/x-g8os-events"

// maxEvent bounds the line of an event in bytes.
const maxEvent = 64 << 10

type rawEvent struct {
	JobEvent
	Raw int `json:"raw,omitempty"`
}

// AppendEvent appends an event as RawEvents has it.
func AppendEvent(to []byte, e JobEvent) ([]byte, error) {
	data := e.Data
	e.Data = nil
	line, err := json.Marshal(rawEvent{e, len(data)})
	if err != nil {
		return to, fmt.Errorf("event of job %s: %w", e.Job, err)
	}
	to = append(to, line...)
	to = append(to, '\n')
	return append(to, data...), nil
}

// Events reads what AppendEvent wrote.
type Events struct {
	r    *bufio.Reader
	data []byte
}

// NewEvents returns Events of a stream.
func NewEvents(r io.Reader) *Events { return &Events{r: bufio.NewReaderSize(r, maxEvent)} }

// Next returns the next event; its Data is good until Next is called again.
// Errors are those of the stream, io.EOF where it ends between two events, or
// wrap ErrWire.
func (s *Events) Next() (JobEvent, error) {
	line, err := s.r.ReadSlice('\n')
	if err == io.EOF && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return JobEvent{}, err
	}
	var e rawEvent
	if err := json.Unmarshal(line, &e); err != nil {
		return JobEvent{}, fmt.Errorf("%w: event: %w", ErrWire, err)
	}
	if e.Raw < 0 || e.Raw > MaxFrame || e.Raw > 0 && e.Data != nil {
		return JobEvent{}, fmt.Errorf("%w: an event with %d bytes of data, %d after it", ErrWire, len(e.Data), e.Raw)
	}
	if e.Raw > 0 {
		s.data = slices.Grow(s.data[:0], e.Raw)[:e.Raw]
		e.Data = s.data
		if _, err := io.ReadFull(s.r, e.Data); err == io.EOF {
			return JobEvent{}, io.ErrUnexpectedEOF
		} else if err != nil {
			return JobEvent{}, err
		}
	}
	return e.JobEvent, nil
}
