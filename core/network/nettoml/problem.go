package nettoml

import (
	"fmt"
	"strings"

	"github.com/g8os/g8os/core/problem"
)

// Problem is one mistake in a net.toml. What it touches is left out of the
// Config; the rest counts.
type Problem = problem.Problem

// sink collects problems.
type sink struct {
	file     string
	problems []Problem
	lines    map[string]int // where keys, and values in lists, were seen
}

// saw notes where a key is, or one value of its list.
func (s *sink) saw(line int, key string, value ...any) {
	if s.lines == nil {
		s.lines = map[string]int{}
	}
	s.lines[key+fmt.Sprint(value...)] = line
}

// where is the line that saw noted.
func (s *sink) where(key string, value ...any) int { return s.lines[key+fmt.Sprint(value...)] }

func (s *sink) add(line int, key, wrong, expect string) {
	s.problems = append(s.problems, Problem{File: s.file, Line: line, Key: key, Wrong: wrong, Expect: expect})
}

// sorted returns the problems by line; those of one line as they were found.
func (s *sink) sorted() []Problem { return problem.Sort(s.problems) }

// unknown reports a key that nobody knows, and names the known one that was
// probably meant.
func (s *sink) unknown(e entry, under string, known []string) {
	wrong := "unknown key"
	if e.value.kind == isTable {
		wrong = "unknown section"
	}
	expect := "one of " + strings.Join(known, ", ")
	if under != "" && e.name == "controllers" {
		expect = "controllers before the first [section]"
	}
	s.add(e.line, dotted(under, e.name), problem.Meant(wrong, e.name, known), expect)
}

func dotted(under, name string) string {
	if under == "" {
		return name
	}
	return under + "." + name
}
