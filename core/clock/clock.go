// Package clock is the node's idea of what time it is: the machine's clock, or
// one of the node's own that runs beside it.
//
// It promises that all of core reads time in one place, so that a wrong clock
// can be repaired, and rehearsed on a node that shares its machine's clock with
// others and must not set it; and that it remembers what it would read had
// nobody set it. It is not a time service: the AC's hello is.
package clock

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Clock tells the time and can be put right.
type Clock interface {
	Now() time.Time
	// Untouched is what Now would be had Set never been called in this process:
	// what the machine itself believes. What others do to the clock shows in both.
	Untouched() time.Time
	Set(t time.Time) error
	// Adopt makes what it shows the machine's own reckoning from now on: for one
	// that had none, since its battery is empty.
	Adopt()
}

// Reading is what a clock shows at one moment.
type Reading struct{ Now, Untouched time.Time }

// Read reads a clock.
func Read(c Clock) Reading { return Reading{Now: c.Now(), Untouched: c.Untouched()} }

// System is the machine's clock. Set needs CAP_SYS_TIME. The zero value is
// ready for use; what it was set by is forgotten with the process.
type System struct {
	kernel func(*unix.Timeval) error // nil: settimeofday(2)
	mu     sync.Mutex
	shift  time.Duration // the sum of what Set has moved it by
}

// Now reads the machine's clock.
func (s *System) Now() time.Time { return time.Now() }

// Untouched reads the machine's clock less what Set has moved it by.
func (s *System) Untouched() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(-s.shift)
}

// Set sets the machine's clock.
func (s *System) Set(t time.Time) error {
	set := s.kernel
	if set == nil {
		set = unix.Settimeofday
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tv, by := unix.NsecToTimeval(t.UnixNano()), time.Until(t.Round(0)) // by what the two show, not by the time since boot
	if err := set(&tv); err != nil {
		return fmt.Errorf("set the machine's clock to %s: %w", t.UTC().Format(time.RFC3339), err)
	}
	s.shift += by
	return nil
}

// Adopt forgets what it was set by.
func (s *System) Adopt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shift = 0
}

// Own is a clock that differs from the machine's by an offset of its own.
type Own struct {
	first  atomic.Int64 // the offset it was made with, or adopted
	offset atomic.Int64
}

// NewOwn makes a clock that is ahead of the machine's by offset.
func NewOwn(offset time.Duration) *Own {
	o := &Own{}
	o.first.Store(int64(offset))
	o.offset.Store(int64(offset))
	return o
}

// Now reads the clock.
func (o *Own) Now() time.Time { return time.Now().Add(time.Duration(o.offset.Load())) }

// Untouched reads the clock as it was made, or adopted.
func (o *Own) Untouched() time.Time { return time.Now().Add(time.Duration(o.first.Load())) }

// Adopt takes the present offset for the one it was made with.
func (o *Own) Adopt() { o.first.Store(o.offset.Load()) }

// Set changes the offset; the machine's clock stays as it is.
func (o *Own) Set(t time.Time) error {
	o.offset.Store(int64(time.Until(t)))
	return nil
}

// Parse reads what a command line says: "system", "own" or "own:OFFSET" with a
// Go duration such as own:-87600h.
func Parse(s string) (Clock, error) {
	switch kind, offset, has := strings.Cut(s, ":"); {
	case s == "system":
		return &System{}, nil
	case kind == "own" && !has:
		return NewOwn(0), nil
	case kind == "own":
		d, err := time.ParseDuration(offset)
		if err != nil {
			return nil, fmt.Errorf("clock %q: the offset is no duration such as own:-2h: %w", s, err)
		}
		return NewOwn(d), nil
	}
	return nil, fmt.Errorf("clock %q: want system, own or own:OFFSET", s)
}

// farFuture is how long after its build an image is believed to run at most.
const farFuture = 10 * 365 * 24 * time.Hour

// Plausible says whether now can be right on a machine whose software was
// built at built: not before it, and not more than ten years later. The other
// readings are those of an empty RTC battery and of a mistyped year.
func Plausible(now, built time.Time) bool {
	return !now.Before(built) && now.Before(built.Add(farFuture))
}
