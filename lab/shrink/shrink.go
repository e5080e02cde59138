// Package shrink makes a run that fails small: it drops faults, removes nodes,
// shortens windows and rounds amounts for as long as the run still fails.
//
// It promises that what it returns fails; that it is the same for the same
// answers; and, if it had tries enough (Result.Minimal), that without any one of
// its faults, or with one node less, the run does not fail any more. It knows
// nothing of grids: a function says whether a run fails.
//
// Dropping is ddmin: Zeller and Hildebrandt, Simplifying and Isolating
// Failure-Inducing Input, IEEE TSE 28(2), 2002.
package shrink

import (
	"slices"
	"time"

	"github.com/g8os/g8os/lab/fault"
)

// Fails says whether a run of a schedule on so many nodes fails in the way that
// is of interest. One that makes no sense, such as a fault of a node that is not
// there any more, does not.
type Fails func(s fault.Schedule, nodes int) bool

// Result is the smallest run that was found.
type Result struct {
	Schedule fault.Schedule
	Nodes    int
	Tries    int  // how often Fails was asked
	Fails    bool // false: the run did not fail to begin with
	Minimal  bool // every smaller one that was tried does not fail
}

// Run shrinks a run, asking fails at most so many times.
func Run(s fault.Schedule, nodes, tries int, fails Fails) Result {
	r := &search{s: slices.Clone(s), nodes: nodes, left: tries, fails: fails}
	if !r.try(r.s, r.nodes) {
		return Result{Schedule: r.s, Nodes: nodes, Tries: tries - r.left}
	}
	for changed := true; changed && r.left > 0; {
		changed = r.drop()
		changed = r.removeNodes() || changed
		changed = r.simplify() || changed
	}
	return Result{Schedule: r.s, Nodes: r.nodes, Tries: tries - r.left, Fails: true, Minimal: r.left > 0}
}

// search is the smallest run so far.
type search struct {
	s     fault.Schedule
	nodes int
	left  int
	fails Fails
}

// try says whether a run fails, and keeps it if it does.
func (r *search) try(s fault.Schedule, nodes int) bool {
	if r.left <= 0 {
		return false
	}
	if r.left--; !r.fails(slices.Clone(s), nodes) {
		return false
	}
	r.s, r.nodes = s, nodes
	return true
}

// drop takes faults out, in ever smaller pieces.
func (r *search) drop() bool {
	before := len(r.s)
	for pieces := 1; len(r.s) > 0; {
		size := max((len(r.s)+pieces-1)/pieces, 1)
		dropped := false
		for from := 0; from < len(r.s); {
			rest := slices.Concat(r.s[:from], r.s[min(from+size, len(r.s)):])
			if r.try(rest, r.nodes) {
				dropped = true
				continue // what is at from now is another piece
			}
			from += size
		}
		if size == 1 && !dropped {
			break
		}
		if size > 1 {
			pieces = min(pieces*2, max(len(r.s), 1))
		}
	}
	return len(r.s) < before
}

// removeNodes takes as many off as can be, then fewer, then one.
func (r *search) removeNodes() bool {
	before := r.nodes
	for step := r.nodes - 1; step > 0; {
		if r.nodes-step >= 1 && r.try(r.s, r.nodes-step) {
			continue
		}
		step /= 2
	}
	return r.nodes < before
}

// simplify tries every simpler form of every fault.
func (r *search) simplify() bool {
	changed := false
	for i := range r.s {
		for again := true; again; {
			again = false
			for _, simpler := range simpler(r.s[i]) {
				s := slices.Clone(r.s)
				s[i] = simpler
				slices.SortStableFunc(s, func(a, b fault.Timed) int { return int(min(max(a.At-b.At, -1), 1)) })
				if sameOrder(s, i, simpler) && r.try(s, r.nodes) {
					changed, again = true, true
					break
				}
			}
		}
	}
	return changed
}

// sameOrder refuses a change that would move an entry past its neighbours: the
// next of the schedule would be taken for it.
func sameOrder(s fault.Schedule, i int, t fault.Timed) bool { return s[i].String() == t.String() }

// simpler lists forms of a fault that are simpler, the simplest first. Each is
// smaller in an order without end, so that trying them ends.
func simpler(t fault.Timed) []fault.Timed {
	var all []fault.Timed
	with := func(change func(*fault.Timed)) {
		c := t
		change(&c)
		all = append(all, c)
	}
	for _, d := range shorter(t.At, 0) {
		with(func(c *fault.Timed) { c.At = d })
	}
	for _, d := range shorter(t.Fault.For, shortest) {
		with(func(c *fault.Timed) { c.Fault.For = d })
	}
	if t.Fault.Jitter > 0 {
		with(func(c *fault.Timed) { c.Fault.Jitter = 0 })
	}
	if t.Fault.Both {
		with(func(c *fault.Timed) { c.Fault.Both = false })
	}
	for _, d := range rounder(t.Fault.Delay) {
		with(func(c *fault.Timed) { c.Fault.Delay = d })
	}
	for _, p := range rounderPercent(t.Fault.Percent) {
		with(func(c *fault.Timed) { c.Fault.Percent = p })
	}
	for i := range t.Fault.Nodes {
		if len(t.Fault.Nodes) > 1 { // without any it would be everybody
			with(func(c *fault.Timed) { c.Fault.Nodes = slices.Concat(t.Fault.Nodes[:i], t.Fault.Nodes[i+1:]) })
		}
	}
	return all
}

// shortest is how long a fault lasts at least.
const shortest = fault.Duration(time.Second)

// shorter times, in whole seconds: the least, then half, then a second less.
func shorter(d, least fault.Duration) []fault.Duration {
	var all []fault.Duration
	second := fault.Duration(time.Second)
	for _, c := range []fault.Duration{least, d / 2 / second * second, d / second * second, d - second} {
		if c >= least && c < d && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// rounder times have one digit that is not zero, and are shorter.
func rounder(d fault.Duration) []fault.Duration {
	unit := fault.Duration(1)
	for d/unit >= 10 {
		unit *= 10
	}
	if c := d / unit * unit; c < d {
		return []fault.Duration{c}
	}
	return nil
}

// rounderPercent is a share with fewer digits, and a smaller one; everything is
// the simplest of all.
func rounderPercent(p float64) []float64 {
	if p == 0 || p == 100 {
		return nil
	}
	all := []float64{100}
	if whole := float64(int(p)); whole > 0 && whole < p {
		all = append(all, whole)
	}
	return all
}
