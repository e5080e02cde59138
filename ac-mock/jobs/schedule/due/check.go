package due

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// ErrInput is wrapped when a schedule is asked for that cannot be.
var ErrInput = errors.New("not a schedule that can be kept")

// maxName bounds a schedule's name, so that NAME-TICK is a job's id.
const maxName = 40

// New is the entry of a schedule that an operator asks for, from now on. Errors
// wrap ErrInput or ErrCron.
func New(s api.Schedule, by string, now time.Time) (Entry, error) {
	now = now.UTC().Truncate(time.Millisecond)
	if !named(s.Name) {
		return Entry{}, fmt.Errorf("%w: name %q: want 1 to %d of a-z, 0-9 and -", ErrInput, api.Shown(s.Name, maxName), maxName)
	}
	if _, err := Parse(s.Cron, now); err != nil {
		return Entry{}, err
	}
	switch s.Overlap {
	case "":
		s.Overlap = api.OverlapSkip
	case api.OverlapSkip:
	case api.OverlapQueue:
		if s.Request.Queue == "" {
			s.Request.Queue = "schedule-" + s.Name
		}
	default:
		return Entry{}, fmt.Errorf("%w: overlap %q: want skip or queue", ErrInput, api.Shown(string(s.Overlap), maxName))
	}
	if s.Request.ID != "" {
		return Entry{}, fmt.Errorf("%w: its jobs are named after it, and cannot have the id %q", ErrInput, api.Shown(s.Request.ID, maxName))
	}
	s.Request.Detached = true
	s.By, s.Created, s.Next, s.Last, s.LastJob, s.Note = by, now, time.Time{}, nil, "", ""
	return Entry{Schedule: s, Tick: now}, nil
}

func named(name string) bool {
	return name != "" && len(name) <= maxName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// NameOf makes a schedule's name of what it runs; taken says which there are.
func NameOf(e api.ExecRequest, taken func(string) bool) string {
	command := "script"
	switch {
	case e.Builtin != "":
		command = string(e.Builtin)
	case len(e.Script) == 0 && len(e.Argv) > 0:
		command = path.Base(e.Argv[0])
	}
	plain := func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}
	name := strings.Trim(strings.Map(plain, command), "-")
	name = strings.Trim(name[:min(len(name), maxName-4)], "-")
	if name == "" {
		name = "job"
	}
	for n, first := 2, name; taken(name); n++ {
		name = fmt.Sprintf("%s-%d", first, n)
	}
	return name
}

// Shown is an entry as operators see it.
func (e Entry) Shown(now time.Time) api.Schedule {
	s := e.Schedule
	if t, err := e.Times(); err == nil {
		s.Next = t.Next(later(now, e.Tick))
		if e.Tick.Sub(now) > Late { // it will not be waited for
			s.Next = t.Next(now)
		}
	}
	return s
}
