// Package report makes one HTML file of the record of a run, for somebody who
// has to find out at night what went wrong: the verdict and what failed, a
// timeline of faults, phases and violations, the grid, what was asked of each
// fault and what was measured, and how to run it again.
//
// It promises a file that needs nothing else, no network either; that a record
// of any fidelity can be shown, also one that broke off; and that a thousand
// nodes stay readable: those that did nothing are folded, those in trouble come
// first. It judges nothing: the record says what was found.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/g8os/g8os/lab/run/record"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// HTML writes the report of a record; name is that of its file, as one would
// type it.
func HTML(w io.Writer, r *record.Record, name string) error {
	p, err := view(r, name)
	if err == nil {
		err = pageTemplate.Execute(w, p)
	}
	if err != nil {
		return fmt.Errorf("report of %s: %w", name, err)
	}
	return nil
}
