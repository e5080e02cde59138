package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
)

// page is what the template shows.
type page struct {
	Name, Replay   string
	Record         *record.Record
	Class, Verdict string
	Why, AtTheEnd  string
	Facts          []pair
	Failures       []failure
	MoreFailures   int
	Timeline       timeline
	Picture        picture
	Faults         []faultRow
	MoreFaults     int
	Events         []eventRow
	MoreEvents     int
	Schedule       string
}

type pair struct{ Name, Value string }

// failure is a violation with what surrounds it.
type failure struct {
	N              int
	At, Name, Says string // the invariant and what it says
	Text           string
	Active         []string // faults in force then
	Left           float64  // where it is on the timeline, in percent
}

type faultRow struct{ ID, Fault, At, Took, Measured, Healed string }

type eventRow struct{ At, Who, What, Text string }

// verdicts in words that say what they mean.
var verdicts = map[run.Verdict]struct{ class, text string }{
	run.Passed:    {"passed", "Passed: everything that must hold held, and the grid recovered"},
	run.Violated:  {"violated", "Violated: something that must hold did not"},
	run.BrokenOff: {"broken", "Broken off: nothing is proved"},
}

func view(r *record.Record, name string) (*page, error) {
	_, plan, err := r.Plan(r.Lab)
	if err != nil {
		return nil, err
	}
	s := scaleOf(r)
	v := verdicts[r.End.Verdict]
	p := &page{
		Name: name, Replay: "g8lab replay " + name, Record: r, Class: v.class, Verdict: v.text,
		Why: r.End.Why, Facts: facts(r, len(plan.Nodes)), Schedule: r.Schedule.String(),
	}
	p.Failures, p.MoreFailures = failures(r, s)
	if len(p.Failures) > 0 { // by the run's own time, as all of the page
		p.Why = fmt.Sprintf("%s after it began, %s: %s", p.Failures[0].At, p.Failures[0].Name, p.Failures[0].Text)
	}
	nodes := histories(r, plan, s)
	p.AtTheEnd = atTheEnd(nodes)
	p.Timeline = timelineOf(r, nodes, s)
	p.Picture = draw(plan, nodes)
	p.MoreFaults = max(len(r.Faults)-maxFaults, 0)
	for _, f := range r.Faults[:len(r.Faults)-p.MoreFaults] {
		p.Faults = append(p.Faults, faultLine(f, s))
	}
	p.Events, p.MoreEvents = events(r.Events, s)
	return p, nil
}

// facts are the lines under the verdict.
func facts(r *record.Record, nodes int) []pair {
	all := []pair{
		{"What", r.What}, {"Fidelity", r.Fidelity}, {"Nodes", strconv.Itoa(nodes)}, {"Seed", strconv.FormatUint(r.Seed, 10)},
		{"Lasted", short(r.End.Ended - r.End.Began)}, {"Faults", strconv.Itoa(len(r.Faults))}, {"Checks", strconv.Itoa(r.End.Checks)},
		{"Violations", strconv.Itoa(len(r.Violations))}, {"Jobs", strconv.Itoa(r.End.Jobs)},
	}
	if x := r.End.Speed(); r.End.Hash != "" && x > 0 {
		all = append(all, pair{"Speed", fmt.Sprintf("%.0f × real time", x)})
	}
	if r.End.Hash != "" {
		all = append(all, pair{"History", r.End.Hash})
	}
	return append(all, pair{"Made by", "g8lab " + r.MadeBy})
}

// Bounds of the lists: beyond them a list says how many more there are.
const (
	maxFailures = 50
	maxFaults   = 500
	maxEvents   = 1000 // the last ones: those at the end tell most
	maxNamed    = 6
)

// atTheEnd says how the nodes were left.
func atTheEnd(nodes []history) string {
	managed, more := 0, 0
	var others []string
	for _, n := range nodes {
		switch {
		case n.last() == "managed":
			managed++
		case len(others) == maxNamed:
			more++
		default:
			others = append(others, n.name+" in "+n.last())
		}
	}
	line := fmt.Sprintf("At the end %d of %d nodes were managed", managed, len(nodes))
	if len(others) > 0 {
		line += "; " + strings.Join(others, ", ")
	}
	if more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	return line + "."
}

func failures(r *record.Record, s scale) (all []failure, more int) {
	says := map[invariant.Name]string{}
	for _, i := range invariant.All() {
		says[i.Name] = i.Doc
	}
	more = max(len(r.Violations)-maxFailures, 0)
	for i, v := range r.Violations[:len(r.Violations)-more] {
		f := failure{N: i + 1, At: s.at(v.At), Name: string(v.Invariant), Says: says[v.Invariant], Text: v.Text, Left: s.percent(v.At)}
		for _, a := range r.Faults {
			if a.InForce <= v.At && (ended(a) == 0 || ended(a) >= v.At) {
				f.Active = append(f.Active, a.ID+" "+a.Fault.String())
			}
		}
		if n := len(f.Active); n > maxNamed { // the newest are the likeliest
			f.Active = append(f.Active[n-maxNamed:], fmt.Sprintf("and %d older ones", n-maxNamed))
		}
		all = append(all, f)
	}
	return all, more
}

// ended is when a fault did; at once, for one that happens once; 0: never, as
// far as the record tells.
func ended(a grid.Applied) time.Duration {
	if k, err := fault.Find(a.Fault.Kind); err == nil && k.Once {
		return a.InForce
	}
	return a.Healed
}

func faultLine(a grid.Applied, s scale) faultRow {
	row := faultRow{
		ID: a.ID, Fault: a.Fault.String(), At: s.at(a.Asked), Took: short(a.InForce - a.Asked),
		Measured: measured(a.Measured), Healed: s.at(a.Healed),
	}
	switch {
	case ended(a) == a.InForce:
		row.Healed = "happened once"
	case a.Healed == 0:
		row.Healed = "not, as far as this record tells"
	}
	return row
}

func measured(m grid.Measured) string {
	var parts []string
	add := func(there bool, format string, value any) {
		if there {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	add(m.How != "", "%s", m.How)
	add(m.Percent != 0, "%.4g %%", m.Percent)
	add(m.Delay != 0, "%s later", time.Duration(m.Delay).Round(10*time.Microsecond))
	add(m.Rate != 0, "%s", m.Rate)
	add(m.Packets != 0, "%d packets", m.Packets)
	return strings.Join(parts, "; ")
}

// events are those that no other part of the page shows.
func events(all []grid.Event, s scale) (rows []eventRow, more int) {
	told := slices.DeleteFunc(slices.Clone(all), func(e grid.Event) bool { return e.What == "phase" || e.At < s.from })
	if more = max(len(told)-maxEvents, 0); more > 0 {
		told = told[more:]
	}
	for _, e := range told {
		rows = append(rows, eventRow{s.at(e.At), e.Who, e.What, e.Text})
	}
	return rows, more
}

// short writes a time as one would say it.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + short(-d)
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
