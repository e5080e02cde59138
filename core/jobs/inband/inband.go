// Package inband reads the levels that programs write into their output.
//
//	7::disk nearly full           one line of level 7
//	8:::                          a block of level 8
//	first line
//	second line
//	:::
//	anything else                 a line of the stream's own level
//
// It promises that every byte of a line that is no mark comes back in some
// message, once; that a block which has no end is not lost; that a line or block
// without end takes no more than MaxMessage bytes, and is then cut, and says so;
// and that a number which is no level for a program to use, 50 (an exit state)
// and whatever is not in the list among them, is plain text. It decides nothing
// about what a level means, and does not need text: any bytes will do.
package inband

import (
	"bytes"
	"slices"

	"github.com/g8os/g8os/core/api"
)

// MaxMessage bounds a message in bytes.
const MaxMessage = 64 << 10

// Message is one line or block.
type Message struct {
	Level int
	Text  []byte // without the mark and the last line's end
	Cut   bool   // it goes on in the next message
}

// levels are those that a program may use.
var levels = []int{
	api.LevelStdout, api.LevelStderr, api.LevelPublic, api.LevelOperator, api.LevelLog, api.LevelStruct,
	api.LevelWarning, api.LevelOpsError, api.LevelCritical, api.LevelStatsd, api.LevelDebug,
	20, 21, 22, 23, 30, // results: JSON, YAML, TOML, HRD; a job in JSON
}

// Parser reads one stream. Its zero value is not of use: see New.
type Parser struct {
	plain int
	line  []byte // the beginning of a line whose end has not come
	level int    // of the block that is open, or of the line that was cut; 0: none
	block []byte
	in    bool // in a block
	cut   bool // line goes on with what was cut
}

// New returns a Parser of a stream whose lines have the level plain if they do
// not say another.
func New(plain int) *Parser { return &Parser{plain: plain} }

// Write takes what comes next, and hands on the messages that are whole with it.
// The Text of one is good until take returns.
func (p *Parser) Write(data []byte, take func(Message)) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		part := data
		if end >= 0 {
			part = data[:end]
		}
		room := MaxMessage - len(p.line)
		if len(part) > room {
			p.line = append(p.line, part[:room]...)
			data = data[room:]
			p.cutLine(take)
			continue
		}
		p.line = append(p.line, part...)
		if end < 0 {
			return
		}
		data = data[end+1:]
		p.whole(take)
	}
}

// End hands on what has no end yet: the stream is over.
func (p *Parser) End(take func(Message)) {
	if len(p.line) > 0 || p.cut {
		p.whole(take)
	}
	if p.in {
		p.close(false, take)
	}
}

// whole takes a line whose end has come.
func (p *Parser) whole(take func(Message)) {
	line := p.line
	p.line = p.line[:0]
	switch {
	case p.in && !p.cut && bytes.Equal(bytes.TrimRight(line, " \t\r"), []byte(":::")):
		p.close(false, take)
		return
	case p.in:
		p.cut = false
		p.extend(append(line, '\n'), take)
		return
	case p.cut:
		p.cut = false
		take(Message{Level: p.level, Text: line})
		return
	}
	level, rest, block := mark(line)
	switch {
	case block:
		p.in, p.level = true, level
	case level > 0:
		take(Message{Level: level, Text: rest})
	default:
		take(Message{Level: p.plain, Text: line})
	}
}

// cutLine takes the beginning of a line that is too long.
func (p *Parser) cutLine(take func(Message)) {
	line := p.line
	p.line = p.line[:0]
	if p.in {
		p.cut = true
		p.extend(line, take)
		return
	}
	if !p.cut {
		p.level = p.plain
		if level, rest, block := mark(line); level > 0 && !block {
			p.level, line = level, rest
		}
		p.cut = true
	}
	take(Message{Level: p.level, Text: line, Cut: true})
}

// extend adds to the open block, and cuts it where it is too long.
func (p *Parser) extend(text []byte, take func(Message)) {
	if len(p.block)+len(text) > MaxMessage && len(p.block) > 0 {
		p.close(true, take)
	}
	p.block = append(p.block, text...)
}

// close hands on the open block. One that is cut goes on.
func (p *Parser) close(cut bool, take func(Message)) {
	text := bytes.TrimSuffix(p.block, []byte("\n"))
	p.block, p.in = p.block[:0], cut
	take(Message{Level: p.level, Text: text, Cut: cut})
}

// mark reads the mark at the beginning of a line: "N::text", or "N:::" alone,
// which begins a block. level is 0 when there is none.
func mark(line []byte) (level int, rest []byte, block bool) {
	n := 0
	for n < len(line) && n < 3 && line[n] >= '0' && line[n] <= '9' {
		level = level*10 + int(line[n]-'0')
		n++
	}
	rest, is := bytes.CutPrefix(line[n:], []byte("::"))
	if n == 0 || !is || line[0] == '0' || !slices.Contains(levels, level) {
		return 0, line, false
	}
	if bytes.Equal(bytes.TrimRight(rest, " \t\r"), []byte(":")) {
		return level, nil, true
	}
	return level, rest, false
}
