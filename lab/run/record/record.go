// Package record is the file of a run: what made it, the grid, the schedule,
// what happened, and the verdict. JSON lines, one write each:
//
//	{"record": {"version": 1, "fidelity": "sim", "seed": 42, "topology": "…", "schedule": […]}}
//	{"phase": {"at_ns": 0, "node": "office-1", "phase": "network"}}
//	{"fault": {"id": "f1", …}}
//	{"violation": {…}}
//	{"end": {"verdict": "passed", …, "sum": "…"}}
//
// It promises that a run which breaks off leaves what was written, and that
// Read then gives it the verdict broken off; that a file that was cut or
// changed, or one of another version, is refused with one line. It does not say
// what a run means: lab/report shows it, g8lab replay repeats it.
package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/topology"
)

// Version of the format that is written, and the only one that is read.
const Version = 1

// Extension of a record's file name.
const Extension = ".g8run"

// Head is what is known before a run begins: all it takes to repeat it.
type Head struct {
	Version  int            `json:"version"`
	MadeBy   string         `json:"made_by"`  // version of g8lab
	What     string         `json:"what"`     // such as "chaos ac-outage"
	Fidelity string         `json:"fidelity"` // sim, netns or vm
	Lab      string         `json:"lab"`      // name that the plan was made for
	Seed     uint64         `json:"seed"`
	Topology string         `json:"topology"`        // the text of the file
	Nodes    int            `json:"nodes,omitempty"` // spread over its groups; 0: as the topology says
	Boot     fault.Duration `json:"boot,omitempty"`  // of a simulated grid: within which nodes get power
	Options  run.Options    `json:"options"`
	Schedule fault.Schedule `json:"schedule"`
}

// Plan is the grid of the run, as it is in a lab of a name.
func (h Head) Plan(lab string) (*topology.Topology, *topology.Plan, error) {
	t, err := topology.Parse("the record's topology", []byte(h.Topology))
	if err == nil && h.Nodes > 0 {
		err = t.Spread(h.Nodes)
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := t.Plan(lab)
	return t, p, err
}

// End is what became of a run.
type End struct {
	Verdict  run.Verdict   `json:"verdict"`
	Why      string        `json:"why,omitempty"`
	Began    time.Duration `json:"began_ns"` // grid time
	Ended    time.Duration `json:"ended_ns"`
	Took     time.Duration `json:"took_ns"` // on the clock of who ran it
	Checks   int           `json:"checks"`
	Jobs     int           `json:"jobs"`
	Refused  []string      `json:"refused,omitempty"`
	Hash     string        `json:"hash,omitempty"`     // of a simulated history, in hex
	Captures []string      `json:"captures,omitempty"` // files with packets, relative to the record
	Sum      string        `json:"sum"`                // SHA-256 of all lines before, in hex
}

// Speed is how much faster than real time the run was; 0 when that is not known.
func (e End) Speed() float64 {
	if e.Took <= 0 {
		return 0
	}
	return float64(e.Ended-e.Began) / float64(e.Took)
}

// Record is a run.
type Record struct {
	Head
	Events     []grid.Event
	Faults     []grid.Applied
	Phases     []run.Phase
	Violations []invariant.Violation
	End        End
}

// add takes one thing that happened. A fault that is told of again is healed.
func (r *Record) add(n run.Note) {
	switch {
	case n.Event != nil:
		r.Events = append(r.Events, *n.Event)
	case n.Phase != nil:
		r.Phases = append(r.Phases, *n.Phase)
	case n.Violation != nil:
		r.Violations = append(r.Violations, *n.Violation)
	case n.Fault != nil:
		for i := range r.Faults {
			if r.Faults[i].ID == n.Fault.ID {
				r.Faults[i] = *n.Fault
				return
			}
		}
		r.Faults = append(r.Faults, *n.Fault)
	}
}

// last is the latest time that the record tells of.
func (r *Record) last() time.Duration {
	var at time.Duration
	for _, e := range r.Events {
		at = max(at, e.At)
	}
	for _, p := range r.Phases {
		at = max(at, p.At)
	}
	for _, f := range r.Faults {
		at = max(at, f.InForce, f.Healed)
	}
	return at
}

// brokenOff is the end of a run whose record has none.
func (r *Record) brokenOff() {
	r.End = End{Verdict: run.BrokenOff, Why: "whoever ran it ended before the run did", Ended: r.last()}
	if len(r.Violations) > 0 {
		r.End.Verdict, r.End.Why = run.Violated, r.Violations[0].String()
	}
}

// line is one line of the file; exactly one field is set.
type line struct {
	Record *Head `json:"record,omitempty"`
	run.Note
	End *End `json:"end,omitempty"`
}

// Errors that Read wraps.
var (
	ErrVersion = errors.New("a record of another version")
	ErrDamaged = errors.New("no whole record")
)

func damaged(path, format string, args ...any) error {
	return fmt.Errorf("record %s: %w: %s", path, ErrDamaged, fmt.Sprintf(format, args...))
}
