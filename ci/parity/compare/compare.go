// Package compare holds what scenarios did at several fidelities against each
// other. It promises one row for each scenario that any report knows, in the
// order of its name, and that a scenario without a result has a reason. It
// reads no files.
package compare

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what one run at one fidelity said.
type Report struct {
	Fidelity string
	Specs    []Spec
}

// Spec is one scenario in a report.
type Spec struct {
	Name   string
	Labels []string
	State  string // passed, skipped, or a way to fail
	Took   time.Duration
}

// Table is the comparison.
type Table struct {
	fidelities []string
	rows       []row
	reasons    []string // by the number that cells bear
}

type row struct {
	name  string
	cells []cell // by fidelity
}

type cell struct {
	state  string // passed, failed, left out (by a filter), none
	took   time.Duration
	reason int // from 1; 0: none
}

// Of compares reports.
func Of(reports []Report) Table {
	var t Table
	byName := map[string][]cell{}
	for i, r := range reports {
		t.fidelities = append(t.fidelities, r.Fidelity)
		for _, s := range r.Specs {
			if byName[s.Name] == nil {
				byName[s.Name] = make([]cell, len(reports))
			}
			byName[s.Name][i] = t.cell(s, r.Fidelity)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		t.rows = append(t.rows, row{name, byName[name]})
	}
	return t
}

func (t *Table) cell(s Spec, fidelity string) cell {
	switch {
	case s.State == "passed":
		return cell{state: "passed", took: s.Took}
	case s.State != "skipped" && s.State != "pending":
		return cell{state: "failed", took: s.Took}
	case slices.Contains(s.Labels, fidelity):
		return cell{state: "left out"}
	}
	for _, l := range s.Labels {
		if why, ok := strings.CutPrefix(l, "not "+fidelity+": "); ok {
			return cell{state: "none", reason: t.number(why)}
		}
	}
	return cell{state: "none"}
}

func (t *Table) number(why string) int {
	if i := slices.Index(t.reasons, why); i >= 0 {
		return i + 1
	}
	t.reasons = append(t.reasons, why)
	return len(t.reasons)
}

// widest is the longest name of a scenario that is shown whole.
const widest = 100

// Write prints the table and the reasons.
func (t Table) Write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "SCENARIO\t%s\n", strings.ToUpper(strings.Join(t.fidelities, "\t")))
	for _, r := range t.rows {
		name := r.name
		if len([]rune(name)) > widest {
			name = string([]rune(name)[:widest-1]) + "…"
		}
		fmt.Fprint(w, name)
		for _, c := range r.cells {
			fmt.Fprintf(w, "\t%s", c)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	for i, why := range t.reasons {
		fmt.Fprintf(out, "(%d) %s\n", i+1, why)
	}
	fmt.Fprintln(out, t.sum())
}

func (c cell) String() string {
	switch {
	case c.state == "passed":
		return "passed " + seconds(c.took)
	case c.state == "failed":
		return "FAILED " + seconds(c.took)
	case c.reason > 0:
		return fmt.Sprintf("no (%d)", c.reason)
	case c.state == "left out":
		return "left out"
	}
	return "no reason"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// sum counts, by fidelity.
func (t Table) sum() string {
	var parts []string
	for i, f := range t.fidelities {
		count := map[string]int{}
		for _, r := range t.rows {
			count[r.cells[i].state]++
		}
		parts = append(parts, fmt.Sprintf("%s: %d passed, %d failed, %d do not run there, %d left out",
			f, count["passed"], count["failed"], count["none"], count["left out"]))
	}
	return strings.Join(parts, "\n")
}

// Verdict is nil when the fidelities agree, and every scenario that does not
// run at one says why.
func (t Table) Verdict() error {
	var errs []error
	for _, r := range t.rows {
		var passed, failed []string
		for i, c := range r.cells {
			switch {
			case c.state == "passed":
				passed = append(passed, t.fidelities[i])
			case c.state == "failed":
				failed = append(failed, t.fidelities[i])
			case c.state == "none" && c.reason == 0:
				errs = append(errs, fmt.Errorf("%q does not run at %s and does not say why: give it a label \"not %s: …\"", r.name, t.fidelities[i], t.fidelities[i]))
			}
		}
		if len(passed) > 0 && len(failed) > 0 {
			errs = append(errs, fmt.Errorf("%q passed at %s and failed at %s", r.name, strings.Join(passed, ", "), strings.Join(failed, ", ")))
		}
	}
	return errors.Join(errs...)
}
