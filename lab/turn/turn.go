// Package turn decides how long a machine of a crowd that boots may keep others
// waiting: until it is managed, or has stood still for too long.
//
// It is a step function: what the machine says goes in with the time. It
// promises that a turn ends also when a machine goes up and down the same
// phases for ever. It is no judgement: a machine whose turn is over goes on.
package turn

import (
	"slices"
	"time"
)

// Still is how long a machine may be without a phase that it has not been in
// before. It is not the time from its power-on: on a host with much else to do
// all of them climb slowly, and to let more go then makes it worse.
const Still = time.Minute

// Turn is a machine that climbs.
type Turn struct {
	seen    []string // phases it has been in
	since   time.Time
	managed bool
}

// Begin is the turn of a machine that was let go now.
func Begin(now time.Time) Turn { return Turn{since: now} }

// Step is a turn after the machine has said its phase; "": it says nothing, time
// has passed.
func (t Turn) Step(phase string, managed bool, now time.Time) Turn {
	t.managed = t.managed || managed
	if phase != "" && !slices.Contains(t.seen, phase) {
		t.seen, t.since = append(slices.Clip(t.seen), phase), now
	}
	return t
}

// Managed tells whether the machine has got there.
func (t Turn) Managed() bool { return t.managed }

// Over tells whether the next one is to be let go.
func (t Turn) Over(now time.Time) bool { return t.managed || now.Sub(t.since) >= Still }
