package nettoml

import (
	"bytes"
	"errors"
	"regexp"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxStatement is how many lines one statement may take: enough for a long
// list, and a bound on the work that a broken one causes.
const maxStatement = 128

// begins matches a line on which a statement can begin: a header, or key =.
var begins = regexp.MustCompile(`^[ \t]*(\[|([A-Za-z0-9_.\- \t]|"[^"]*"|'[^']*')+=)`)

// read parses a file statement by statement, so that a broken one costs
// nothing but itself. What follows a broken header is left out, because it is
// not known to whom it belongs.
func read(b []byte, s *sink) *table {
	root := &table{line: 1}
	into := root
	p := &unstable.Parser{}
	lines := bytes.SplitAfter(b, []byte("\n"))
	for at := 0; at < len(lines); {
		n, err := statement(p, lines[at:])
		switch {
		case err != nil:
			s.add(at+errorLine(p, err), "", "not TOML: "+err.Error(), `key = value, or a [section]`)
			if bytes.HasPrefix(bytes.TrimLeft(lines[at], " \t"), []byte("[")) {
				into = &table{}
			}
		case p.Expression() != nil:
			into = (&builder{p: p, line: at, root: root, sink: s}).add(p.Expression(), into)
		}
		at += n
	}
	return root
}

// statement parses the smallest number of lines that is whole, and returns how
// many they are. When none is, it gives up the lines up to the next one on
// which a statement can begin.
func statement(p *unstable.Parser, lines [][]byte) (int, error) {
	quoted := bytes.Contains(lines[0], []byte(`"""`)) || bytes.Contains(lines[0], []byte(`'''`))
	var text []byte
	for n := range min(len(lines), maxStatement) {
		if n > 0 && !quoted && begins.Match(lines[n]) {
			break
		}
		text = append(text, lines[n]...)
		p.Reset(text)
		p.NextExpression()
		if p.Error() == nil {
			return n + 1, nil
		}
		if n == 0 && !open(lines[0]) {
			return 1, p.Error()
		}
	}
	lost := 1
	for lost < len(lines) && !begins.Match(lines[lost]) {
		lost++
	}
	return lost, p.Error()
}

// open tells whether a line may be continued on the next one.
func open(line []byte) bool {
	return bytes.ContainsAny(line, "[{") && bytes.Contains(line, []byte("=")) ||
		bytes.Contains(line, []byte(`"""`)) || bytes.Contains(line, []byte(`'''`))
}

// errorLine is the line of a parse error, from 1, within the statement. An
// unfinished statement is charged to the line it begins on.
func errorLine(p *unstable.Parser, err error) int {
	perr, ok := errors.AsType[*unstable.ParserError](err)
	if !ok || len(perr.Highlight) == 0 {
		return 1
	}
	r := p.Range(perr.Highlight)
	if int(r.Offset+r.Length) >= len(p.Data()) {
		return 1
	}
	return p.Shape(r).Start.Line
}
