// Package grace decides whether a node may open its volume without an AC, as an
// operator allowed it: for a time after the last session, and for a number of
// boots since then.
//
// It promises that no clock that is set back prolongs a lease: what counts is the
// latest time that the node has ever seen; that a boot counts before the volume is
// open; and that only an AC makes a lease anew. It keeps nothing and reads no
// clock: core/unlock writes the lease down, and where there is a TPM has that hold
// the same limits, which copies of the disk do not reset.
package grace

import (
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Times of a node that has a grace.
const (
	// After is how long a node that starts looks for an AC before it opens its volume
	// without one.
	After = 15 * time.Second
	// Every is how often the lease is looked at.
	Every = 20 * time.Second
)

// Lease is what a node remembers of a grace.
type Lease struct {
	Terms api.Grace `json:"terms"`
	Since time.Time `json:"since"` // the last session with an AC
	Floor time.Time `json:"floor"` // it is not earlier than that, whatever a clock says
	Used  int       `json:"used"`  // boots that it opened since then
}

// Contact makes a lease anew: an AC is there, and with it the right time.
func Contact(terms api.Grace, now time.Time) Lease {
	return Lease{Terms: terms, Since: now, Floor: now}
}

// Seen notes the time, which only goes on.
func (l Lease) Seen(now time.Time) Lease {
	if now.After(l.Floor) {
		l.Floor = now
	}
	return l
}

// Verdict says whether a volume may be opened, and how much is left then.
type Verdict struct {
	Open  bool
	Why   string // it may not
	Left  time.Duration
	Boots int
}

// Look says how a lease stands. Leads to: open; refused, for its time or its boots
// are over, or it is none.
func (l Lease) Look(now time.Time) Verdict {
	l = l.Seen(now)
	left := l.Terms.For() - l.Floor.Sub(l.Since)
	switch boots := l.Terms.Boots - l.Used; {
	case l.Terms.Valid() != nil || !l.Terms.On() || l.Since.IsZero():
		return Verdict{Why: "there is no grace that counts"}
	case left <= 0:
		return Verdict{Why: fmt.Sprintf("grace is over since %s: it lasts %s after a session with an AC", l.Since.Add(l.Terms.For()).UTC().Format(time.RFC3339), l.Terms.For())}
	case boots <= 0:
		return Verdict{Why: fmt.Sprintf("grace is over: the %d boots that it allows without an AC are used up", l.Terms.Boots)}
	default:
		return Verdict{Open: true, Left: left, Boots: boots}
	}
}

// Boot uses a boot up, if the lease has one left. The lease that it returns has to
// be on the disk before anything is opened.
func (l Lease) Boot(now time.Time) (Lease, Verdict) {
	l = l.Seen(now)
	v := l.Look(now)
	if v.Open {
		l.Used++
		v.Boots--
	}
	return l, v
}

// Due says whether a lease is to be made anew while there is a session: some of it
// is used, the terms are others, or an eighth of its time is over, at most ten
// minutes. So it is written down now and then only.
func (l Lease) Due(terms api.Grace, now time.Time) bool {
	age := now.Sub(l.Since)
	return l.Used > 0 || l.Terms != terms || age < 0 || age >= min(terms.For()/8, 10*time.Minute)
}

// Standing says how a grace stands, and what it trades.
func Standing(v Verdict, byTPM, open bool) string {
	if !v.Open && !open {
		return v.Why
	}
	text := "grace: this node unlocks without an AC"
	if open {
		text = "grace: the volume was opened without an AC"
	}
	thief := "who steals the disk, or copies it, opens it too: there is no TPM"
	if byTPM {
		thief = "who steals the whole machine opens it too within that"
	}
	return fmt.Sprintf("%s; %s and %d boots are left; %s", text, v.Left.Truncate(time.Minute), v.Boots, thief)
}
