// Package invariant is what must hold in a grid at every fidelity, whatever
// goes wrong in it.
//
// It promises that a Checker depends on nothing but the facts and faults it was
// told of, in their order, so that the same run is judged the same way again.
// It does not look at a grid itself: lab/run tells it.
package invariant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// Name of an invariant.
type Name string

// The invariants.
const (
	OneAddress   Name = "one-address"   // no two managed nodes have one address of a segment
	FreeAddress  Name = "free-address"  // no node takes an address that somebody has, nor keeps one that somebody insists on
	ProvedUnlock Name = "proved-unlock" // a key share leaves an AC only for an enrolled node that proved itself
	Ciphertext   Name = "ciphertext"    // no plaintext of the volume is on a disk
	PinnedCA     Name = "pinned-ca"     // a node takes nobody for an AC outside the pinned CA
	OwnIdentity  Name = "own-identity"  // a node acts only for its own identity
	NothingLost  Name = "nothing-lost"  // what was acknowledged is not lost, and no job runs twice
	LeaseEnds    Name = "lease-ends"    // no address is used past its lease
	OneSelf      Name = "one-self"      // an identity that is alive twice, or went back in time, is stopped
	Recovers     Name = "recovers"      // after the faults have ended, every healthy node is managed within a bound
	Returns      Name = "returns"       // and by a way as good as the one it had before
)

// All lists every invariant and what it says.
func All() []struct {
	Name Name
	Doc  string
} {
	return []struct {
		Name Name
		Doc  string
	}{
		{OneAddress, "no two managed nodes have one address of a segment"},
		{FreeAddress, "no node takes an address that somebody has, nor keeps one that somebody insists on"},
		{ProvedUnlock, "a key share leaves an AC only for an enrolled node that proved itself"},
		{Ciphertext, "no plaintext of the volume is on a disk"},
		{PinnedCA, "a node takes nobody for an AC outside the pinned CA"},
		{OwnIdentity, "a node acts only for its own identity"},
		{NothingLost, "nothing that was acknowledged is lost, and no job runs twice"},
		{LeaseEnds, "no address is used past its lease"},
		{OneSelf, "an identity that is alive twice, or went back in time, is stopped"},
		{Recovers, "after the faults have ended, every healthy node is managed within a bound"},
		{Returns, "after the faults have ended, a node is managed by a way as good as the one it had before"},
	}
}

// Violation is an invariant that did not hold.
type Violation struct {
	At        time.Duration `json:"at_ns"`
	Invariant Name          `json:"invariant"`
	Text      string        `json:"text"`
}

// String says when, which and how.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.At.Round(time.Millisecond), v.Invariant, v.Text)
}

// settle is how long two nodes may both have an address after a segment was
// disturbed: until one of them has announced it again (core/network/conflict:
// within 37.5 s), and the other has given it up.
const settle = 45 * time.Second

// Checker judges one run.
type Checker struct {
	active    map[string]fault.Fault
	disturbed time.Duration // when the last fault that can hide an ARP packet ended; below zero: never
	unheard   time.Duration // the same, without squatters
	shared    map[string]time.Duration
	best      map[string]string              // the way by which a node was managed while nothing was wrong
	begun     bool                           // a fault was added
	disputes  map[grid.Dispute]time.Duration // since when; never: somebody may not have been heard
	said      map[string]bool
}

// New makes a Checker of a run that begins.
func New() *Checker {
	return &Checker{active: map[string]fault.Fault{}, disturbed: -1 << 62, unheard: -1 << 62, shared: map[string]time.Duration{}, disputes: map[grid.Dispute]time.Duration{}, best: map[string]string{}, said: map[string]bool{}}
}

// Added tells of a fault that is in force.
func (c *Checker) Added(a grid.Applied) { c.begun, c.active[a.ID] = true, a.Fault }

// Healed tells that one is not any more.
func (c *Checker) Healed(a grid.Applied, at time.Duration) {
	delete(c.active, a.ID)
	if hides(a.Fault) {
		c.disturbed = max(c.disturbed, at)
	}
	if deafens(a.Fault) {
		c.unheard = max(c.unheard, at)
	}
}

// hides says whether a fault may keep an ARP packet from somebody who has to
// hear it.
func hides(f fault.Fault) bool {
	switch f.Kind {
	case fault.Partition, fault.Loss, fault.Delay, fault.Reorder, fault.Corrupt, fault.Throttle,
		fault.Cable, fault.Pause, fault.Move, fault.Squatter, fault.Clock:
		return true
	}
	return false
}

// disturbedAt says whether, at a time, addresses may be shared for a while.
func (c *Checker) disturbedAt(at time.Duration) bool {
	for _, f := range c.active {
		if hides(f) {
			return true
		}
	}
	return at-c.disturbed < settle
}

// Check judges facts, and returns what did not hold, each thing once.
func (c *Checker) Check(f grid.Facts) []Violation {
	var out []Violation
	say := func(at time.Duration, n Name, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if key := string(n) + text; !c.said[key] {
			c.said[key] = true
			out = append(out, Violation{at, n, text})
		}
	}
	for _, d := range f.Duplicates {
		if !c.disturbedAt(d.At) {
			say(d.At, OneAddress, "%s of segment %s is used by %s and %s", d.Address, d.Segment, d.Nodes[0], d.Nodes[1])
		}
	}
	for _, d := range c.lasting(f) {
		say(d.At, OneAddress, "%s of segment %s is used by %s and %s for more than %s", d.Address, d.Segment, d.Nodes[0], d.Nodes[1], settle)
	}
	for _, d := range c.contested(f) {
		say(d.At, FreeAddress, "%s", d.Text)
	}
	for _, r := range f.Releases {
		switch {
		case !r.Proved:
			say(r.At, ProvedUnlock, "a share of %s left for somebody who had not proved to be it", r.Node)
		case r.State != "enrolled":
			say(r.At, ProvedUnlock, "a share of %s left while it was %s", r.Node, r.State)
		case r.Stale:
			say(r.At, OneSelf, "a share of %s left for a disk that was a copy, or had gone back", r.Node)
		}
	}
	for _, t := range f.Trusts {
		if !t.Genuine {
			say(t.At, PinnedCA, "%s took %s for an AC", t.Node, t.Server)
		}
	}
	for _, a := range f.Acts {
		if a.Node != a.For {
			say(a.At, OwnIdentity, "%s was granted %s for %s", a.Node, a.What, a.For)
		}
	}
	for _, o := range f.Overstays {
		say(f.At, LeaseEnds, "%s uses %s on segment %s, whose lease was over at %s", o.Node, o.Address, o.Segment, o.Since.Round(time.Second))
	}
	for _, t := range f.Twins {
		say(t.At, OneSelf, "the session of %s went between %s and %s %d times", t.ID, t.Hosts[0], t.Hosts[1], t.Times)
	}
	c.ways(f)
	for _, n := range f.Plaintext {
		say(f.At, Ciphertext, "plaintext of the volume is on the disk of %s", n)
	}
	for _, j := range f.Jobs {
		switch {
		case j.Started > 1 && !j.Interrupted:
			say(f.At, NothingLost, "job %s ran %d times on %s", j.ID, j.Started, j.Node)
		case j.Told && !j.Lost && j.Started == 0:
			say(f.At, NothingLost, "job %s on %s was reported as done and never ran", j.ID, j.Node)
		case j.Told && !j.Lost && j.Output != j.Expected:
			say(f.At, NothingLost, "job %s on %s: %d of %d pieces of output arrived", j.ID, j.Node, j.Output, j.Expected)
		}
	}
	return out
}

// lasting finds addresses that two managed nodes go on sharing although
// nothing keeps them from hearing each other.
func (c *Checker) lasting(f grid.Facts) []grid.Duplicate {
	var long []grid.Duplicate
	now := map[string]time.Duration{}
	for _, d := range Shared(f) {
		key := d.Segment + " " + d.Address.String() + " " + strings.Join(d.Nodes[:], " ")
		since, seen := c.shared[key]
		if !seen || c.hidden() {
			since = f.At
		}
		now[key] = since
		if f.At-since > settle {
			d.At = f.At
			long = append(long, d)
		}
	}
	c.shared = now
	return long
}

func (c *Checker) hidden() bool {
	for _, f := range c.active {
		if hides(f) {
			return true
		}
	}
	return false
}

// Shared lists the addresses that two managed nodes have now on one segment.
func Shared(f grid.Facts) []grid.Duplicate {
	type place struct {
		segment string
		address string
	}
	owner := map[place]string{}
	var out []grid.Duplicate
	for _, n := range f.Nodes {
		if !n.Managed() {
			continue
		}
		for _, h := range n.Holdings {
			if h.Segment == "" { // unplugged: nobody else is there
				continue
			}
			at := place{h.Segment, h.Address.Addr().String()}
			first, taken := owner[at]
			if taken && first != n.Name {
				out = append(out, grid.Duplicate{At: f.At, Segment: h.Segment, Address: h.Address.Addr(), Nodes: [2]string{first, n.Name}})
			}
			if !taken {
				owner[at] = n.Name
			}
		}
	}
	return out
}

// ranks of ways; a higher one is better.
var ranks = map[string]int{"fallback": 1, "dhcp": 2, "configured": 3}

// ways notes by which way nodes were managed before anything went wrong.
func (c *Checker) ways(f grid.Facts) {
	if c.begun {
		return
	}
	for _, n := range f.Nodes {
		if way := n.Status.Way; n.Managed() && ranks[way] > ranks[c.best[n.Name]] {
			c.best[n.Name] = way
		}
	}
}

// worse says whether a node is managed by a lesser way than before.
func (c *Checker) worse(n grid.Node) bool {
	return n.Managed() && ranks[n.Status.Way] < ranks[c.best[n.Name]]
}

// Well says whether a grid without faults is as it ought to be.
func (c *Checker) Well(f grid.Facts, excused ...string) bool {
	return len(c.Settled(f, 0, excused...)) == 0 && len(Shared(f)) == 0
}

// Settled judges the end of a run: all faults have been healed for longer than
// within, and every node that ought to be managed has to be. excused are nodes
// that nothing but an operator can bring back.
func (c *Checker) Settled(f grid.Facts, within time.Duration, excused ...string) []Violation {
	var out []Violation
	for _, n := range f.Nodes {
		if !n.Powered || slices.Contains(excused, n.Name) {
			continue
		}
		if c.worse(n) {
			text := fmt.Sprintf("%s is managed by %s, %s after the last fault ended; before it was %s", n.Name, n.Status.Way, within, c.best[n.Name])
			out = append(out, Violation{f.At, Returns, text})
		}
		if n.Managed() {
			continue
		}
		phase := n.Status.Phase
		if phase == "" {
			phase = "down"
		}
		text := fmt.Sprintf("%s is in %s, %s after the last fault ended: waits for %q, last error %q",
			n.Name, phase, within, n.Status.WaitsFor, n.Status.LastError)
		out = append(out, Violation{f.At, Recovers, text})
	}
	for _, j := range f.Jobs {
		if !j.Told {
			out = append(out, Violation{f.At, NothingLost, fmt.Sprintf("job %s on %s: nobody was told what became of it", j.ID, j.Node)})
		}
	}
	return out
}
