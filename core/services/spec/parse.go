package spec

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/g8os/g8os/core/problem"
)

// section is all that a file says of one service.
type section struct {
	name  string
	line  int            // where it begins
	mine  map[int]bool   // lines, from 1
	lines map[string]int // of its keys, dotted
}

// Parse reads a file. Its services are good but for what other files say.
func Parse(path string, text []byte) File {
	f := File{Path: path}
	if len(text) > MaxSize {
		f.broken(1, "the file is too large", "no more than 256 KiB")
		return f
	}
	sections := f.split(text)
	if f.Broken {
		return f
	}
	for _, s := range sections {
		r, ok := f.decode(text, s)
		if ok {
			if svc, good := f.complete(r, s); good {
				f.Services = append(f.Services, svc)
				continue
			}
		}
		f.Bad = append(f.Bad, s.name)
	}
	problem.Sort(f.Problems)
	return f
}

func (f *File) add(line int, key, wrong, expect string) {
	f.Problems = append(f.Problems, problem.Problem{File: f.Path, Line: line, Key: key, Wrong: wrong, Expect: expect})
}

func (f *File) broken(line int, wrong, expect string) {
	f.Broken = true
	f.add(line, "", wrong, expect)
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// split finds the sections, so that each can be decoded on its own, and a
// mistake in one leaves the others alone.
func (f *File) split(text []byte) (all []*section) {
	p := &unstable.Parser{}
	p.Reset(text)
	var header []string
	var now *section
	last := 0
	for p.NextExpression() {
		e := p.Expression()
		path, line := keyOf(p, e)
		claim(now, last, line)
		if e.Kind == unstable.KeyValue {
			path = slices.Concat(header, path)
		} else {
			header = path
		}
		now, last = f.owner(&all, path, line, e.Kind), line
	}
	claim(now, last, bytes.Count(text, []byte("\n"))+2)
	if err := p.Error(); err != nil {
		line := last + 1
		if perr, ok := errors.AsType[*unstable.ParserError](err); ok && len(perr.Highlight) > 0 {
			line = p.Shape(p.Range(perr.Highlight)).Start.Line
		}
		f.broken(line, "not TOML: "+err.Error(), "key = value, or a [service.NAME]")
	}
	return all
}

// claim gives lines to a section: from one to before another.
func claim(s *section, from, to int) {
	for line := from; s != nil && line < to; line++ {
		s.mine[line] = true
	}
}

// owner finds the section that an expression belongs to; nil: none.
func (f *File) owner(all *[]*section, path []string, line int, kind unstable.Kind) *section {
	key := strings.Join(path, ".")
	switch {
	case path[0] != "service":
		f.add(line, key, problem.Meant("unknown key", path[0], []string{"service"}), "a [service.NAME]")
		return nil
	case len(path) < 2, len(path) == 2 && kind != unstable.Table:
		f.add(line, key, "is no service", "a section of its own: [service.NAME]")
		return nil
	case !goodName.MatchString(path[1]):
		f.add(line, key, "is no name for a service", "letters, digits, - _ and ., at most 63")
		return nil
	}
	i := slices.IndexFunc(*all, func(s *section) bool { return s.name == path[1] })
	if i < 0 {
		i = len(*all)
		*all = append(*all, &section{name: path[1], line: line, mine: map[int]bool{}, lines: map[string]int{}})
	}
	s := (*all)[i]
	s.lines[strings.Join(path[2:], ".")] = line
	return s
}

func keyOf(p *unstable.Parser, n *unstable.Node) (path []string, line int) {
	for it := n.Key(); it.Next(); {
		if line == 0 {
			line = p.Shape(it.Node().Raw).Start.Line
		}
		path = append(path, string(it.Node().Data))
	}
	return path, line
}

// decode reads one section, strictly. The lines of others are empty, so that
// those in errors are right.
func (f *File) decode(text []byte, s *section) (r raw, ok bool) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i := range lines {
		if !s.mine[i+1] {
			lines[i] = []byte("\n")
		}
	}
	var doc document
	err := toml.NewDecoder(bytes.NewReader(bytes.Join(lines, nil))).DisallowUnknownFields().Decode(&doc)
	if strict, is := errors.AsType[*toml.StrictMissingError](err); is {
		for _, e := range strict.Errors {
			line, _ := e.Position()
			f.unknown(line, s.keyAt(line), e.Key())
		}
		return r, false
	}
	if one, is := errors.AsType[*toml.DecodeError](err); is {
		line, _ := one.Position()
		f.add(line, s.keyAt(line), plain(one.Error()), "")
		return r, false
	}
	if err != nil {
		f.add(s.line, "service."+s.name, plain(err.Error()), "")
		return r, false
	}
	return doc.Service[s.name], true
}

// keyAt is the key on a line, or the last one before.
func (s *section) keyAt(line int) string {
	best, at := "", 0
	for key, l := range s.lines {
		if l <= line && (l > at || l == at && key > best) {
			best, at = key, l
		}
	}
	return strings.TrimSuffix("service."+s.name+"."+best, ".")
}

// at is the line of a key, or that of the section.
func (s *section) at(key string) int {
	for k := key; k != ""; {
		if line := s.lines[k]; line != 0 {
			return line
		}
		dot := strings.LastIndexByte(k, '.')
		k = k[:max(dot, 0)]
	}
	return s.line
}

var goType = regexp.MustCompile(`(into|to) (struct field )?[a-zA-Z.\[\]]+ of type `)

// plain leaves Go's words out of a decoder's message.
func plain(text string) string {
	text = strings.TrimPrefix(text, "toml: ")
	return strings.NewReplacer("spec.", "", "[]string", "a list of strings", "map[string]string", "a table of strings").
		Replace(goType.ReplaceAllString(text, "into "))
}

// unknown reports a key that nobody knows. Within { } the decoder leaves out in
// what it is; what is on the line says.
func (f *File) unknown(line int, at string, key []string) {
	name := key[len(key)-1]
	if under := strings.Split(at, "."); under[len(under)-1] != name {
		key = append(under, name)
	}
	known := keys[strings.Join(key[min(2, len(key)):max(2, len(key)-1)], ".")]
	f.add(line, strings.Join(key, "."), problem.Meant("unknown key", name, known), "one of "+strings.Join(known, ", "))
}
