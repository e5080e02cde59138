package due

import (
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Late is how late a job may be made for a tick.
const Late = 5 * time.Minute

// maxNote bounds why a job could not be made, in bytes.
const maxNote = 256

// Entry is a schedule, and up to which tick it is decided. Next is not kept in it.
type Entry struct {
	api.Schedule
	Tick time.Time `json:"tick"` // what is not after it is decided
}

// Times are those of an entry.
func (e Entry) Times() (Times, error) { return Parse(e.Cron, e.Created) }

// Decision is what a step decides. Without Changed there is nothing to be done.
type Decision struct {
	Changed bool
	Entry   Entry     // to be stored
	Job     string    // to be made first; empty: none
	Tick    time.Time // of the job
}

// Step decides about the ticks up to now. runs says whether the job of the last
// tick still does.
func Step(e Entry, runs bool, now time.Time) Decision {
	now = now.UTC()
	times, err := e.Times()
	switch {
	case err != nil: // of another version
		return Decision{}
	case e.Tick.Sub(now) > Late:
		return e.left(now, "the clock of an AC was ahead, up to %s", stamp(e.Tick))
	}
	first := times.Next(e.Tick)
	if first.IsZero() || first.After(now) {
		return Decision{}
	}
	tick := times.last(later(e.Tick, now.Add(-Late)), now)
	switch {
	case tick.IsZero():
		return e.left(now, "what was due from %s to %s was left out: no AC was there", stamp(first), stamp(now))
	case runs && e.Overlap != api.OverlapQueue:
		return e.left(tick, "%s was left out: job %s was still running", stamp(tick), e.LastJob)
	}
	d := Decision{Changed: true, Entry: e, Job: fmt.Sprintf("%s-%d", e.Name, tick.Unix()), Tick: tick}
	if first.Before(tick) {
		d.Entry.Note = fmt.Sprintf("what was due from %s until before %s was left out: no AC was there in time", stamp(first), stamp(tick))
	}
	d.Entry.Tick, d.Entry.Last, d.Entry.LastJob = tick, &tick, d.Job
	return d
}

// Failed is a decision whose job cannot be made.
func (d Decision) Failed(e Entry, why error) Entry {
	return e.left(d.Tick, "no job at %s: %s", stamp(d.Tick), api.Shown(why.Error(), maxNote)).Entry
}

// left decides up to a tick that there is no job.
func (e Entry) left(tick time.Time, why string, args ...any) Decision {
	e.Tick, e.Note = tick, fmt.Sprintf(why, args...)
	return Decision{Changed: true, Entry: e}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Request is what the job of a tick is asked for with.
func (d Decision) Request() api.JobRequest {
	q := d.Entry.Request
	q.ID, q.Detached = d.Job, true
	return q
}
