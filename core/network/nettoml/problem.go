package nettoml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a net.toml. What it touches is left out of the
// Config; the rest counts.
type Problem struct {
	File   string
	Line   int    // from 1
	Key    string // dotted; empty when the line is not TOML
	Wrong  string
	Expect string
}

// String is the line an operator sees: file:line: key: what is wrong; expected what.
func (p Problem) String() string {
	at := fmt.Sprintf("%s:%d: ", p.File, p.Line)
	if p.Key != "" {
		at += p.Key + ": "
	}
	if p.Expect == "" {
		return at + p.Wrong
	}
	return at + p.Wrong + "; expected " + p.Expect
}

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
func (s *sink) sorted() []Problem {
	slices.SortStableFunc(s.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return s.problems
}

// unknown reports a key that nobody knows, and names the known one that was
// probably meant.
func (s *sink) unknown(e entry, under string, known []string) {
	wrong := "unknown key"
	if e.value.kind == isTable {
		wrong = "unknown section"
	}
	if near := closest(e.name, known); near != "" {
		wrong += fmt.Sprintf(" (did you mean %s?)", near)
	}
	expect := "one of " + strings.Join(known, ", ")
	if under != "" && e.name == "controllers" {
		expect = "controllers before the first [section]"
	}
	s.add(e.line, dotted(under, e.name), wrong, expect)
}

func dotted(under, name string) string {
	if under == "" {
		return name
	}
	return under + "." + name
}

// closest returns the word within two edits of name, or "".
func closest(name string, words []string) string {
	best, limit := "", 3
	for _, w := range words {
		if d := distance(strings.ToLower(name), w); d < limit && d < len(w) {
			best, limit = w, d
		}
	}
	return best
}

// distance is the number of letters to add, drop or change (Levenshtein).
// Words longer than any of ours are not worth the work.
func distance(a, b string) int {
	if len(a) > 32 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
