// Package due decides when a job that recurs is due, and what becomes of a time
// at which it could not be run.
//
//	tick ── the one before still runs ──▶ left out (OverlapSkip)
//	  │ └── nobody looked for more than Late ──▶ left out
//	  └──▶ job NAME-TICK, also when it is late, once for all ticks that passed
//
// It promises that of one tick there is one job id, whoever decides and how often;
// that a tick is never decided again once an entry with it, or a later one, is
// stored; and that a clock that was ahead stops nothing for longer than it was
// wrong. Times are UTC: there is no hour that is left out or comes twice. It makes
// no jobs and keeps nothing.
package due

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ErrCron is wrapped when a text says no times.
var ErrCron = errors.New("not a schedule")

// longest is the longest time between two ticks of @every.
const longest = 366 * 24 * time.Hour

// maxCron bounds the text of a schedule, in bytes.
const maxCron = 256

// Times are those at which something recurs.
type Times struct {
	every time.Duration // since base; 0: the fields say
	base  time.Time
	field cron.Schedule
}

// Parse reads five fields of crontab(5), @hourly and its like, or @every
// DURATION, which counts from since. The parser is that of robfig/cron, of which
// nothing else is used: its clock, goroutines and time zones are not.
func Parse(text string, since time.Time) (Times, error) {
	if strings.Contains(text, "TZ=") {
		return Times{}, fmt.Errorf("%w: %.40q: times are in UTC, and a zone cannot be said", ErrCron, text)
	}
	if len(text) > maxCron {
		return Times{}, fmt.Errorf("%w: it has %d bytes, at most %d are possible", ErrCron, len(text), maxCron)
	}
	if d, ok := strings.CutPrefix(text, "@every "); ok {
		every, err := time.ParseDuration(d)
		if err != nil || every < time.Second || every > longest || every%time.Second != 0 {
			return Times{}, fmt.Errorf("%w: %.40q: want whole seconds, from @every 1s to @every %dh", ErrCron, text, int(longest.Hours()))
		}
		return Times{every: every, base: since.UTC().Truncate(time.Second)}, nil
	}
	field, err := cron.ParseStandard(text)
	if err != nil {
		return Times{}, fmt.Errorf("%w: %.40q: %w; want five fields, such as '*/5 * * * *', or @hourly, @daily, @every 90s", ErrCron, text, err)
	}
	t := Times{field: field}
	if t.Next(since).IsZero() {
		return Times{}, fmt.Errorf("%w: %.40q: there is no such day", ErrCron, text)
	}
	return t, nil
}

// Next is the first time after another one; zero when none comes.
func (t Times) Next(after time.Time) time.Time {
	after = after.UTC()
	if t.every == 0 {
		return t.field.Next(after)
	}
	return t.base.Add(max(1, after.Sub(t.base)/t.every+1) * t.every)
}

// last is the last time above from and not above until; zero when there is none.
// The two must not be farther apart than Late.
func (t Times) last(from, until time.Time) (last time.Time) {
	if t.every > 0 {
		last = t.base.Add(until.Sub(t.base) / t.every * t.every)
		if !last.After(from) || !last.After(t.base) {
			return time.Time{}
		}
		return last
	}
	for next := t.Next(from); !next.IsZero() && !next.After(until); next = t.Next(next) {
		last = next
	}
	return last
}
