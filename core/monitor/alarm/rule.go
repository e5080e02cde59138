// Package alarm decides when something about a machine is alarming: rules and
// readings in, alarms raised and cleared out.
//
// It promises that an alarm is raised once a reading has been at its threshold
// or beyond for as long as its rule says, and cleared once it has been below a
// lower one for as long, so that what wavers does not ring all the time; that
// what is not there any more, or has no rule any more, is cleared; and that a
// clock that goes back only makes it wait again. It is a step function: no
// clock, no file. What is raised is forgotten with the process: after a restart
// it is raised again.
package alarm

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Measure is what a rule is about.
type Measure string

// The measures, and their units.
const (
	Disk        Measure = "disk"        // percent of a file system, by where it is mounted
	Inodes      Measure = "inodes"      // percent of those of a file system
	Memory      Measure = "memory"      // percent
	Swap        Measure = "swap"        // percent
	CPU         Measure = "cpu"         // percent of all cores
	Load        Measure = "load"        // load average of a minute, for each core
	Clock       Measure = "clock"       // seconds that the clock is off the AC's, either way
	Temperature Measure = "temperature" // degrees Celsius, by sensor
)

// units are written after a value.
var units = map[Measure]string{
	Disk: " %", Inodes: " %", Memory: " %", Swap: " %", CPU: " %", Load: " a core", Clock: " s", Temperature: " °C",
}

func measures() string {
	var names []string
	for m := range units {
		names = append(names, string(m))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Rule says what is alarming.
type Rule struct {
	Name    string
	Measure Measure
	On      string        // a pattern (path.Match) of what it is about: a mount, a sensor; empty: all
	Above   float64       // at and above it is alarming, in the unit of Measure
	Clear   float64       // below it is not any more; at most Above
	For     time.Duration // how long either has to last
	Level   int           // of the event
}

// Defaults are the rules of a node that has been told nothing else.
func Defaults() []Rule {
	return []Rule{
		{Name: "clock", Measure: Clock, Above: 5, Clear: 2, For: time.Minute, Level: api.LevelWarning},
		{Name: "disk", Measure: Disk, Above: 90, Clear: 85, For: 30 * time.Second, Level: api.LevelWarning},
		{Name: "disk-full", Measure: Disk, Above: 98, Clear: 95, For: 30 * time.Second, Level: api.LevelOpsError},
		{Name: "inodes", Measure: Inodes, Above: 90, Clear: 85, For: 30 * time.Second, Level: api.LevelWarning},
		{Name: "load", Measure: Load, Above: 4, Clear: 3, For: 5 * time.Minute, Level: api.LevelWarning},
		{Name: "memory", Measure: Memory, Above: 95, Clear: 90, For: time.Minute, Level: api.LevelWarning},
		{Name: "temperature", Measure: Temperature, Above: 90, Clear: 85, For: time.Minute, Level: api.LevelOpsError},
	}
}

// about says whether a rule is for a reading.
func (r Rule) about(x Reading) bool {
	if r.Measure != x.Measure {
		return false
	}
	match, _ := path.Match(r.On, x.Subject)
	return match || r.On == ""
}

// Change is an alarm that is raised or cleared.
type Change struct {
	Rule    Rule
	Subject string
	Value   float64 // the reading that decided; 0 when Gone
	Raised  bool
	Gone    bool // cleared, because there is nothing more to be read, or no rule
}

// Text is a line for people.
func (c Change) Text() string {
	what := string(c.Rule.Measure)
	if c.Subject != "" {
		what += " " + c.Subject
	}
	unit := units[c.Rule.Measure]
	switch {
	case c.Gone:
		return what + ": not watched any more"
	case c.Raised:
		text := fmt.Sprintf("%s: %.4g%s, at or above %.4g%s", what, c.Value, unit, c.Rule.Above, unit)
		if c.Rule.For > 0 {
			text += " for " + c.Rule.For.String()
		}
		return text
	}
	return fmt.Sprintf("%s: %.4g%s, below %.4g%s again", what, c.Value, unit, c.Rule.Clear, unit)
}
