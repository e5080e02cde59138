// Package table prints tables of the command lines.
//
// It promises that on a terminal a table is no wider than the terminal where
// that can be had by leaving columns out, and that it says which; whatever is
// no terminal gets every column. It does not cut or wrap cells.
package table

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"golang.org/x/term"
)

const gap = 2 // between columns

// Table is lines of cells under a head; every line has as many as the head.
type Table struct {
	Head []string
	Rows [][]string
	// Wraps: the last column holds sentences, which may wrap.
	Wraps bool
	// Dispensable columns, the first to go first.
	Dispensable []string
}

// Print writes the table to w, as wide as w allows.
func (t Table) Print(w io.Writer) error {
	var left []string
	if IsTerminal(w) {
		columns, _ := Size(w)
		t, left = t.fit(columns)
	}
	tw := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	for _, row := range slices.Concat([][]string{t.Head}, t.Rows) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	if err := tw.Flush(); err != nil || len(left) == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "left out for want of room: %s (see -o json)\n", strings.Join(left, ", "))
	return err
}

// fit takes columns out until the table is no wider than it may be, or nothing
// dispensable is left. It returns the names of those it took.
func (t Table) fit(width int) (narrow Table, left []string) {
	for _, name := range t.Dispensable {
		if t.width() <= width {
			break
		}
		at := slices.Index(t.Head, name)
		t.Head = slices.Delete(slices.Clone(t.Head), at, at+1)
		t.Rows = slices.Clone(t.Rows)
		for i, row := range t.Rows {
			t.Rows[i] = slices.Delete(slices.Clone(row), at, at+1)
		}
		left = append(left, name)
	}
	return t, left
}

func (t Table) width() int {
	sum, last := 0, len(t.Head)-1
	for i, name := range t.Head {
		wide := utf8.RuneCountInString(name)
		for _, row := range t.Rows {
			if i < last || !t.Wraps {
				wide = max(wide, utf8.RuneCountInString(row[i]))
			}
		}
		sum += wide + gap
	}
	return sum - gap
}

// IsTerminal reports whether w is one.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Size is that of the terminal w, in characters; 80 by 24 where unknown.
func Size(w io.Writer) (columns, lines int) {
	if f, ok := w.(*os.File); ok {
		if columns, lines, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && lines > 0 {
			return columns, lines
		}
	}
	return 80, 24
}
