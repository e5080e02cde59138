package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/topology"
)

// scale turns grid time into places on the page.
type scale struct{ from, began, to time.Duration }

func scaleOf(r *record.Record) scale {
	s := scale{from: r.End.Began, began: r.End.Began, to: max(r.End.Ended, r.End.Began+time.Second)}
	if len(r.Phases) > 0 {
		if s.from = min(s.from, r.Phases[0].At); s.began == 0 { // broken off, or simulated from power-on
			s.from = r.Phases[0].At
			s.began = s.from
		}
	}
	return s
}

// at is a time since the run began.
func (s scale) at(t time.Duration) string { return short(t - s.began) }

func (s scale) percent(t time.Duration) float64 {
	return 100 * float64(min(max(t, s.from), s.to)-s.from) / float64(s.to-s.from)
}

// bar is a part of a row, in percent of its width.
type bar struct {
	Left, Width float64
	Class, Tip  string
}

func (s scale) bar(from, to time.Duration, class, tip string) bar {
	left := s.percent(from)
	return bar{left, s.percent(to) - left, class, tip}
}

// row is a line of the timeline.
type row struct {
	Name string
	Bars []bar
}

type timeline struct {
	From, Span float64 // seconds: where the run's own time begins on the left, and how much is shown
	Ticks      []tick
	Checks     []bar
	Faults     []row
	Crowd      []area // how many nodes are in which phase
	Legend     []string
	Nodes      []row
	Folded     []row    // behind a click
	Quiet      []string // nodes that did nothing
	Undrawn    int      // nodes that are in the record only
}

type tick struct {
	Left float64
	Text string
}

// Bounds of what is drawn: more rows than that nobody reads, and a browser
// takes its time.
const (
	maxRows   = 40
	maxFolded = 300
	maxLines  = 30 // faults that have a line each
)

func timelineOf(r *record.Record, nodes []history, s scale) timeline {
	t := timeline{
		From: (s.from - s.began).Seconds(), Span: (s.to - s.from).Seconds(), Ticks: s.ticks(), Faults: faultRows(r.Faults, s), Crowd: crowd(nodes, s), Legend: legend(nodes),
	}
	for _, e := range r.Events {
		if e.What == "check" {
			t.Checks = append(t.Checks, s.bar(e.At, e.At, "", s.at(e.At)+": "+e.Text))
		}
	}
	var busy []history
	for _, n := range nodes {
		if len(n.spans) <= 1 && !n.accused {
			t.Quiet = append(t.Quiet, n.name)
			continue
		}
		busy = append(busy, n)
	}
	slices.SortStableFunc(busy, func(a, b history) int {
		return cmp.Or(-compareBool(a.accused, b.accused), cmp.Compare(b.trouble, a.trouble))
	})
	for i, n := range busy {
		switch {
		case i < maxRows:
			t.Nodes = append(t.Nodes, n.row(s))
		case i < maxRows+maxFolded:
			t.Folded = append(t.Folded, n.row(s))
		default:
			t.Undrawn++
		}
	}
	return t
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// steps between ticks that people count in.
var steps = []time.Duration{
	time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 6 * time.Hour, 24 * time.Hour,
}

func (s scale) ticks() []tick {
	step := steps[len(steps)-1]
	for _, c := range steps {
		if (s.to-s.from)/c <= 12 {
			step = c
			break
		}
	}
	var all []tick
	for t := s.began; t <= s.to && len(all) < 50; t += step {
		all = append(all, tick{s.percent(t), short(t - s.began)})
	}
	return all
}

// faultRows gives each fault a line; many share one with others of their kind.
func faultRows(all []grid.Applied, s scale) []row {
	var rows []row
	free := map[string][]time.Duration{} // by kind, when its rows have room again
	index := map[string]int{}
	for _, a := range all {
		end := cmp.Or(ended(a), s.to)
		tip := fmt.Sprintf("%s %s: asked %s, in force %s, %s", a.ID, a.Fault, s.at(a.Asked), s.at(a.InForce), faultLine(a, s).Healed)
		bars := []bar{s.bar(a.Asked, a.InForce, "asked", tip), s.bar(a.InForce, end, "fault", tip)}
		if len(all) <= maxLines {
			what := a.Fault
			what.For = 0 // the bar says how long
			rows = append(rows, row{a.ID + " " + what.String(), bars})
			continue
		}
		kind := a.Fault.Kind
		lane := slices.IndexFunc(free[kind], func(t time.Duration) bool { return t <= a.Asked })
		if lane < 0 {
			lane = len(free[kind])
			free[kind] = append(free[kind], 0)
			index[fmt.Sprint(kind, lane)] = len(rows)
			rows = append(rows, row{Name: kind})
		}
		free[kind][lane] = end
		at := index[fmt.Sprint(kind, lane)]
		rows[at].Bars = append(rows[at].Bars, bars...)
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if len(all) <= maxLines {
			return 0
		}
		return strings.Compare(a.Name, b.Name)
	})
	return rows
}

// history is what a node went through.
type history struct {
	name    string
	spans   []span
	trouble time.Duration // for which it was not managed
	accused bool          // a violation names it
}

type span struct {
	from, to time.Duration
	phase    string
}

func histories(r *record.Record, plan *topology.Plan, s scale) []history {
	index := map[string]int{}
	all := make([]history, len(plan.Nodes))
	for i, m := range plan.Nodes {
		all[i].name, index[m.Name] = m.Name, i
	}
	for _, p := range r.Phases {
		i, ok := index[p.Node]
		if !ok {
			continue
		}
		h := &all[i]
		if n := len(h.spans); n > 0 {
			h.spans[n-1].to = p.At
		}
		h.spans = append(h.spans, span{p.At, s.to, p.Phase})
	}
	for _, v := range r.Violations {
		for _, word := range strings.Fields(v.Text) {
			if i, ok := index[strings.Trim(word, ":,;\"")]; ok {
				all[i].accused = true
			}
		}
	}
	for i := range all {
		for _, x := range all[i].spans {
			if x.phase != "managed" {
				all[i].trouble += x.to - x.from
			}
		}
	}
	return all
}

func (h history) row(s scale) row {
	r := row{Name: h.name}
	for _, x := range h.spans {
		r.Bars = append(r.Bars, s.bar(x.from, x.to, x.phase, fmt.Sprintf("%s: %s from %s for %s", h.name, x.phase, s.at(x.from), short(x.to-x.from))))
	}
	return r
}

// last is the phase that the node was seen in last.
func (h history) last() string {
	if len(h.spans) == 0 {
		return "unknown"
	}
	return h.spans[len(h.spans)-1].phase
}
