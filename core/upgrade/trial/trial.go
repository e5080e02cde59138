// Package trial decides which g8os_core runs on a node, and when a new one has
// proved itself.
//
//	 begin           start            managed, and stays so
//	────────▶ begun ────────▶ on trial ────────────────────▶ proved
//	            │                │
//	            └────────────────┴──▶ rolled back: the one before runs again
//	       power lost, not whole     ended, hung, not managed in time
//
// It promises that a new binary is started once before it is proved: however
// it ends, the next start is that of the one before; that a binary that is not
// whole is never started; and that there is always one to start, at last the
// one that the image or the package has. What is on the disk is one Record,
// replaced as a whole. It reads no clock and no file: core/upgrade does.
package trial

import (
	"fmt"
	"time"
)

// Build tells a binary from others.
type Build struct {
	Version string    `json:"version"`
	Built   time.Time `json:"built"`
}

func (b Build) same(o Build) bool { return b.Version == o.Version && b.Built.Equal(o.Built) }

// BuiltIn is the sum of the binary of the image or the package.
const BuiltIn = ""

// Record is what a node keeps over a restart.
type Record struct {
	Current  string  `json:"current,omitempty"`  // SHA-256 of the binary in use; BuiltIn
	Build    Build   `json:"build,omitzero"`     // of Current, unless it is BuiltIn
	Previous string  `json:"previous,omitempty"` // that was proved before
	Base     Build   `json:"base,omitzero"`      // BuiltIn as it was when Current was chosen
	Trial    *Trial  `json:"trial,omitempty"`    // of Current; nil: it is proved
	Last     *Result `json:"last,omitempty"`     // of the last trial
}

// Trial is a binary that has not proved itself yet.
type Trial struct {
	ID      string        `json:"id"` // of the upgrade
	Before  string        `json:"before,omitempty"`
	Was     Build         `json:"was,omitzero"` // of Before, unless it is BuiltIn
	Since   time.Time     `json:"since"`        // by the node's clock, for people
	Within  time.Duration `json:"within"`       // to be managed again
	Started bool          `json:"started"`
}

// Result is what became of a trial.
type Result struct {
	ID     string    `json:"id"`
	Sum    string    `json:"sha256"`
	Build  Build     `json:"build"`
	Proved bool      `json:"proved"`
	Why    string    `json:"why,omitempty"` // it was rolled back
	At     time.Time `json:"at"`
}

// Begin makes a binary the current one, on trial.
func (r Record) Begin(sum string, b Build, base Build, t Trial) (Record, error) {
	if r.Trial != nil {
		return r, fmt.Errorf("upgrade %s is under way on this node; wait for its end", r.Trial.ID)
	}
	t.Before, t.Was, t.Started = r.Current, r.Build, false
	r.Current, r.Build, r.Base, r.Trial = sum, b, base, &t
	return r, nil
}

// Proved ends a trial well. It changes nothing when the trial is over already.
func (r Record) Proved(id string, now time.Time) Record {
	if r.Trial == nil || r.Trial.ID != id {
		return r
	}
	r.Last = &Result{ID: id, Sum: r.Current, Build: r.Build, Proved: true, At: now.UTC()}
	r.Previous, r.Trial = r.Trial.Before, nil
	return r
}

// RolledBack ends a trial: the binary before it is the current one. It changes
// nothing when the trial is over already.
func (r Record) RolledBack(id, why string, now time.Time) Record {
	if r.Trial == nil || r.Trial.ID != id {
		return r
	}
	r.Last = &Result{ID: id, Sum: r.Current, Build: r.Build, Why: why, At: now.UTC()}
	r.Current, r.Build, r.Trial = r.Trial.Before, r.Trial.Was, nil
	return r
}

// Needs lists the sums of binaries that may be started.
func (r Record) Needs() (sums []string) {
	for _, s := range []string{r.Current, r.Previous} {
		if s != BuiltIn {
			sums = append(sums, s)
		}
	}
	if r.Trial != nil && r.Trial.Before != BuiltIn {
		sums = append(sums, r.Trial.Before)
	}
	return sums
}

// World is what is there when g8os_core starts.
type World struct {
	BuiltIn Build
	SameRun bool                   // the machine has not been started since the trial began
	Whole   func(sum string) error // why a binary cannot be started
}

// Start says which binary to start now, and what to write down before.
func (r Record) Start(w World, now time.Time) (next Record, run, why string) {
	if r.Trial != nil {
		if why := r.failed(w); why != "" {
			r = r.RolledBack(r.Trial.ID, why, now)
			next, run, more := r.settled(w)
			if more != "" {
				why += "; " + more
			}
			return next, run, why
		}
		t := *r.Trial
		t.Started, r.Trial = true, &t
		return r, r.Current, ""
	}
	return r.settled(w)
}

// failed says why a trial is lost already, or nothing.
func (r Record) failed(w World) string {
	switch err := w.Whole(r.Current); {
	case !w.SameRun:
		return "the machine was started again before it had proved itself"
	case r.Trial.Started:
		return "it ended before it had proved itself"
	case err != nil:
		return err.Error()
	}
	return ""
}

// settled is Start without a trial.
func (r Record) settled(w World) (next Record, run, why string) {
	if r.Current == BuiltIn {
		return r, BuiltIn, ""
	}
	if !w.BuiltIn.same(r.Base) && !w.BuiltIn.Built.Before(r.Build.Built) {
		r.Previous, r.Current, r.Build = r.Current, BuiltIn, Build{}
		return r, BuiltIn, "the image or package has a newer one: " + w.BuiltIn.Version
	}
	err := w.Whole(r.Current)
	if err == nil {
		return r, r.Current, ""
	}
	why = "the current one cannot be started: " + err.Error()
	if r.Previous != BuiltIn && w.Whole(r.Previous) == nil {
		return r, r.Previous, why
	}
	return r, BuiltIn, why
}
