// Package lines makes one text out of what several sources say: whole lines,
// each with the name of its source before it.
//
//	office-1 | up 3 days
//	web-2    | up 10 minutes
//
// It promises that no byte of a source is lost or changed and that a line is of
// one source, in the order in which lines became whole. What has not become a
// line waits, up to MaxPartial bytes; then, and with Flush, it is made one. It
// does not order lines by time, and does not look at what they hold.
package lines

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxPartial bounds what is kept of a line that does not end, in bytes.
const MaxPartial = 64 << 10

// colours of names, by turns: those of ECMA-48 that can be read on any ground.
var colours = []string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

// Merger writes the lines of sources to one writer. It is not safe for
// concurrent use.
type Merger struct {
	w       io.Writer
	width   int
	colour  bool
	sources map[string]*source
}

// source is one, by its name: what stands before its lines, and what it has said
// of the next one.
type source struct {
	before  []byte
	partial []byte
}

// New makes a Merger for names that are at most width characters wide; a longer
// one pushes its own lines to the right.
func New(w io.Writer, width int, colour bool) *Merger {
	return &Merger{w: w, width: width, colour: colour, sources: map[string]*source{}}
}

// Write takes what a source says. Errors are the writer's.
func (m *Merger) Write(name string, data []byte) error {
	s, out := m.source(name), bytes.Buffer{}
	for whole := true; whole; {
		var line []byte
		line, data, whole = bytes.Cut(data, []byte{'\n'})
		s.partial = append(s.partial, line...)
		for len(s.partial) > MaxPartial {
			rest := s.partial[MaxPartial:]
			s.line(&out, s.partial[:MaxPartial])
			s.partial = append(s.partial[:0], rest...)
		}
		if whole {
			s.line(&out, s.partial)
			s.partial = s.partial[:0]
		}
	}
	return m.emit(&out)
}

// Flush makes a line of what a source has said without ending it.
func (m *Merger) Flush(name string) error {
	var out bytes.Buffer
	if s := m.source(name); len(s.partial) > 0 {
		s.line(&out, s.partial)
		s.partial = s.partial[:0]
	}
	return m.emit(&out)
}

func (m *Merger) emit(out *bytes.Buffer) error {
	if out.Len() == 0 {
		return nil
	}
	_, err := m.w.Write(out.Bytes())
	return err
}

func (s *source) line(out *bytes.Buffer, text []byte) {
	out.Write(s.before)
	out.Write(text)
	out.WriteByte('\n')
}

func (m *Merger) source(name string) *source {
	s := m.sources[name]
	if s == nil {
		s = &source{before: m.before(name, len(m.sources))}
		m.sources[name] = s
	}
	return s
}

// before is what stands before the lines of the n-th source.
func (m *Merger) before(name string, n int) []byte {
	text := name + strings.Repeat(" ", max(0, m.width-utf8.RuneCountInString(name))) + " |"
	if m.colour {
		text = fmt.Sprintf("\x1b[%sm%s\x1b[0m", colours[n%len(colours)], text)
	}
	return []byte(text + " ")
}
