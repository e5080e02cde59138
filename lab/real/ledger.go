package real

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// Files of the faults in a lab's directory.
const (
	ledgerFile = "faults.json"
	ledgerLock = "faults.lock"
	keeperLock = "keeper.lock"
)

// keepEnded is how many faults that have ended are remembered, so that every
// process learns of the end of those it knew.
const keepEnded = 1000

// ledger is what is known of a lab's faults, by all processes.
type ledger struct {
	Last   int     `json:"last"`   // number of the newest fault
	Faults []entry `json:"faults"` // in force, oldest first
	Ended  []entry `json:"ended"`  // the newest last
	Owed   []debt  `json:"owed,omitempty"`
}

// entry is a fault. It is written down before anything is done, so that one
// whose maker was killed half-way can be healed too.
type entry struct {
	grid.Applied
	Until time.Time `json:"until,omitzero"` // when it ends by itself; zero: never
}

// debt is a fault of an AC that has ended while the AC could not be told.
type debt struct {
	AC   string `json:"ac"`
	Name string `json:"name"`
}

// add writes a new fault down and returns its number.
func (l *ledger) add(f fault.Fault, at time.Duration) entry {
	l.Last++
	e := entry{Applied: grid.Applied{ID: fmt.Sprintf("f%d", l.Last), Fault: f, Asked: at}}
	l.Faults = append(l.Faults, e)
	return e
}

// find returns a fault in force.
func (l *ledger) find(id string) (entry, error) {
	for _, e := range l.Faults {
		if e.ID == id {
			return e, nil
		}
	}
	if len(l.Faults) == 0 {
		return entry{}, fmt.Errorf("fault %q: %w; there is none", id, grid.ErrNoFault)
	}
	return entry{}, fmt.Errorf("fault %q: %w; there are %s", id, grid.ErrNoFault, ids(l.Faults))
}

func ids(entries []entry) string {
	text := ""
	for i, e := range entries {
		if i > 0 {
			text += ", "
		}
		text += e.ID
	}
	return text
}

// knew tells whether a fault was in force once.
func (l *ledger) knew(id string) bool {
	e, err := l.find(id)
	return err == nil && e.InForce > 0 || l.saw(id)
}

// saw tells whether a fault has ended.
func (l *ledger) saw(id string) bool {
	return slices.ContainsFunc(l.Ended, func(e entry) bool { return e.ID == id })
}

// put replaces what is known of a fault in force.
func (l *ledger) put(e entry) {
	for i := range l.Faults {
		if l.Faults[i].ID == e.ID {
			l.Faults[i] = e
		}
	}
}

// take strikes a fault out.
func (l *ledger) take(id string) {
	l.Faults = slices.DeleteFunc(l.Faults, func(e entry) bool { return e.ID == id })
}

// end strikes a fault out that was in force, and remembers that it was.
func (l *ledger) end(e entry, at time.Duration) entry {
	l.take(e.ID)
	e.Healed = at
	l.Ended = append(l.Ended, e)
	if over := len(l.Ended) - keepEnded; over > 0 {
		l.Ended = slices.Delete(l.Ended, 0, over)
	}
	return e
}

// of lists the faults in force of some kinds.
func (l *ledger) of(holds func(fault.Fault) bool) []fault.Fault {
	var all []fault.Fault
	for _, e := range l.Faults {
		if holds(e.Fault) {
			all = append(all, e.Fault)
		}
	}
	return all
}

// has tells whether a fault of a kind is in force on something.
func (l *ledger) has(kind, on string) bool {
	return len(l.of(func(f fault.Fault) bool { return f.Kind == kind && f.On == on })) > 0
}

// next is when the first fault ends by itself; ok is false when none does.
func (l *ledger) next() (at time.Time, ok bool) {
	for _, e := range l.Faults {
		if !e.Until.IsZero() && (!ok || e.Until.Before(at)) {
			at, ok = e.Until, true
		}
	}
	return at, ok
}

// over lists the faults whose time is over.
func (l *ledger) over(now time.Time) []entry {
	var all []entry
	for _, e := range l.Faults {
		if !e.Until.IsZero() && !e.Until.After(now) {
			all = append(all, e)
		}
	}
	return all
}

// loadLedger reads the ledger; that of a lab without faults is empty.
func loadLedger(dir string) (ledger, error) {
	var l ledger
	text, err := os.ReadFile(filepath.Join(dir, ledgerFile))
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		return l, fmt.Errorf("faults of the lab in %s: %w", dir, err)
	}
	return l, nil
}

// save replaces the ledger in one step.
func (l *ledger) save(dir string) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("faults of the lab in %s: %w", dir, err)
	}
	path := filepath.Join(dir, ledgerFile)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("faults of the lab in %s: %w", dir, err)
	}
	return os.Rename(path+".new", path)
}

// lock waits until this process is the only one that changes the lab's faults.
// The lock goes with the process.
func lock(ctx context.Context, dir, name string) (*os.File, error) {
	for {
		f, err := tryLock(dir, name)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			return f, err
		}
		if !wait(ctx, 10*time.Millisecond) {
			return nil, fmt.Errorf("another process is at work on the faults of this lab: %w", ctx.Err())
		}
	}
}

func tryLock(dir, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, lab.ErrNoLab
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// wait lets time pass; it returns false when ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// restore puts a fault back where it was: the faults are in order of their
// beginning.
func (l *ledger) restore(e entry) {
	l.Faults = append(l.Faults, e)
	slices.SortStableFunc(l.Faults, func(a, b entry) int { return cmp.Compare(a.Asked, b.Asked) })
}
