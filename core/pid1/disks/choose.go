package disks

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Found is a device and what it holds.
type Found struct {
	Name    string // as below /dev
	Content Content
}

// Is tells whether a device is one that is looked for.
func (f Found) Is(kind Kind, label string) bool {
	return f.Content.Kind == kind && f.Content.Label == label
}

// Pick returns the device of a kind and label. Of several it is the healthiest,
// then the one named first (vda before vdb before vdaa); warning tells of the others.
func Pick(all []Found, kind Kind, label string) (f Found, ok bool, warning error) {
	var fit []Found
	for _, f := range all {
		if f.Is(kind, label) {
			fit = append(fit, f)
		}
	}
	if len(fit) == 0 {
		return Found{}, false, nil
	}
	slices.SortStableFunc(fit, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Content.Ext4.Backup, b.Content.Ext4.Backup), cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	if len(fit) > 1 {
		warning = fmt.Errorf("%d devices have a %s file system labelled %s: %s is used, %s is not; give the other a label of its own (e2label)",
			len(fit), kind, label, fit[0].Name, fit[1].Name)
	}
	return fit[0], true, warning
}

// Wait is the rule for how long to wait for disks.
type Wait struct {
	Settle time.Duration // without new devices, then there are no more
	Medium time.Duration // not 0: how long a boot medium may take to appear
	Read   time.Duration // for what a disk holds, when all else is there: it may spin up
	Coming time.Duration // for a card that is in its slot and no device yet: it may never be one
	Limit  time.Duration // for devices that never settle
}

// DefaultWait is for a machine, without and with a boot medium to wait for.
func DefaultWait(medium bool) Wait {
	w := Wait{Settle: time.Second, Read: 15 * time.Second, Coming: 10 * time.Second, Limit: 60 * time.Second}
	if medium {
		w.Medium = 20 * time.Second
	}
	return w
}

// Seen is what there is so far.
type Seen struct {
	Waited time.Duration // since the wait began
	Quiet  time.Duration // since a device came last
	Coming bool          // a card is in a slot, and no device yet
	Near   bool          // drivers of virtual disks, and others that take no time, are being loaded
	Busy   bool          // drivers are being loaded
	Read   bool          // a disk is being read: it may be any of those, or the tools layer
	State  bool          // a state disk is there
	Medium bool          // a boot medium is there
	NoDisk bool          // no state disk is wanted
}

// Done tells whether to go on with what there is: at once when all that is
// waited for is there, else when no more is to be expected.
func (w Wait) Done(s Seen) bool {
	if w.Medium > 0 && !s.Medium && s.Waited < w.Medium {
		return false
	}
	if s.Read && s.Waited < w.Read {
		return false
	}
	switch {
	case (s.State || s.NoDisk) && (s.Medium || !s.Near):
		return true
	case s.Waited >= w.Limit:
		return true
	}
	if s.Coming && s.Waited < w.Coming {
		return false
	}
	return !s.Busy && !s.Read && s.Quiet >= w.Settle
}

// Next is when to ask again if nothing happens until then.
func (w Wait) Next(s Seen) time.Duration {
	const soonest = 10 * time.Millisecond
	next := min(w.Limit-s.Waited, w.Settle-s.Quiet)
	switch {
	case s.Near || s.Busy || s.Coming:
		next = soonest // nobody tells when they are done
	case s.Read && s.Waited < w.Read: // who reads tells
		next = w.Read - s.Waited
	case s.Read:
		next = w.Limit - s.Waited
	}
	if w.Medium > 0 && !s.Medium && s.Waited < w.Medium {
		next = w.Medium - s.Waited
	}
	return max(next, soonest)
}
