// Package problem says what is wrong with a file that a person wrote: one line
// a mistake, with the place, what is there and what was expected.
//
// It promises lines that editors and people find the place by (FILE:LINE:), and
// a guess at what was meant where a word is close to a known one.
package problem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`          // from 1
	Key    string `json:"key,omitempty"` // dotted; empty when the line cannot be read at all
	Wrong  string `json:"wrong"`
	Expect string `json:"expect,omitempty"`
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

// Sort puts problems in the order of their lines; those of one line stay as
// they were found.
func Sort(all []Problem) []Problem {
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return all
}

// Meant adds the known word that was probably meant to what is wrong.
func Meant(wrong, name string, known []string) string {
	if near := Closest(name, known); near != "" {
		wrong += fmt.Sprintf(" (did you mean %s?)", near)
	}
	return wrong
}

// Closest returns the word within two edits of name, or "".
func Closest(name string, words []string) string {
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
