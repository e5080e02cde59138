// Package bootlog keeps what a boot said, so that it is there after a crash:
// the kernel's log, PID 1's (which goes through it) and the daemon's last
// lines, in boot.log on the state disk, and the boots before in boot.log.1 to
// boot.log.4; and what the firmware kept of a kernel panic (pstore).
//
// It promises that no writer ever waits for the disk; that a line of a warning
// is on the disk a second later, any other within ten; that a flood, of the
// kernel or of anyone, fills neither memory nor disk, and is counted; that the
// beginning of a boot stays, however long it lasts. It is not a log server:
// who wants logs of programs looks beside it, in /var/log/g8os.
package bootlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Dir is where the log is.
const Dir = "/var/log/g8os"

// Level is how much a line matters (syslog(3), severity).
type Level int

// The levels in use.
const (
	Error Level = 3
	Warn  Level = 4
	Info  Level = 6
)

var levels = [...]string{"emerg", "alert", "crit", "error", "warn", "note", "info", "debug"}

func (l Level) String() string { return levels[min(max(l, 0), 7)] }

// Bounds of what is in memory, waiting for the disk.
const (
	maxQueue = 8192 // lines: more than the kernel's own buffer has
	maxLine  = 1024 // bytes
)

// How long a line may be in the page cache only.
const (
	urgent   = time.Second
	ordinary = 10 * time.Second
	retry    = time.Minute // after the disk failed
)

type line struct {
	at    time.Duration
	level Level
	text  string
}

// Log is one boot's log. Its methods may be called from anywhere.
type Log struct {
	uptime func() time.Duration
	err    *slog.Logger

	mu    sync.Mutex
	queue []line
	limit limits
	wake  chan struct{}
	calls chan func()

	// Run's own.
	file   *bounded      // nil: no disk, or it failed
	path   string        // of the file; empty before Attach and after End
	again  time.Duration // not to be tried before
	failed bool          // and it was said
	since  time.Duration // uptime of the oldest line that is in the page cache only; 0: none
	level  Level         // the gravest of these
}

// New returns a log that keeps its lines in memory until Attach. Complaints
// about the disk go to err, which must not lead back here at once.
func New(uptime func() time.Duration, err *slog.Logger) *Log {
	return &Log{uptime: uptime, err: err, limit: newLimits(), wake: make(chan struct{}, 1), calls: make(chan func()), level: Info}
}

// Line notes one line. It never waits.
func (l *Log) Line(level Level, text string) { l.at(l.uptime(), level, text) }

func (l *Log) at(at time.Duration, level Level, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok, missed := l.limit.allow(l.uptime(), level)
	if !ok {
		return
	}
	if missed > 0 {
		l.push(line{at, Warn, fmt.Sprintf("%d lines left out: too many in too short a time", missed)})
	}
	l.push(line{at, level, oneLine(text)})
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// push forgets the oldest lines when nobody takes them.
func (l *Log) push(n line) {
	if len(l.queue) >= maxQueue {
		l.queue = append(l.queue[:0], l.queue[maxQueue/8:]...)
	}
	l.queue = append(l.queue, n)
}

func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 { // C0, C1: they steer terminals
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimRight(text, "\n"), "?"))
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "…"
	}
	return text
}

// Run writes until ctx ends.
func (l *Log) Run(ctx context.Context) {
	due := time.NewTimer(ordinary)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case call := <-l.calls:
			call()
		case <-l.wake:
			l.flush()
		case <-due.C:
			l.flush()
			l.sync()
		}
		due.Reset(l.patience())
	}
}

// patience is the time until the next sync is due.
func (l *Log) patience() time.Duration {
	if l.since == 0 {
		return ordinary
	}
	limit := ordinary
	if l.level <= Warn {
		limit = urgent
	}
	return max(0, l.since+limit-l.uptime())
}

// flush writes what waits. Without a disk it goes on waiting.
func (l *Log) flush() {
	if l.file == nil && !l.reopen() {
		return
	}
	l.mu.Lock()
	lines := l.queue
	l.queue = nil
	l.mu.Unlock()
	var b strings.Builder
	for _, n := range lines {
		fmt.Fprintf(&b, "%10.3f %-5s %s\n", n.at.Seconds(), n.level, n.text)
		l.level = min(l.level, n.level)
	}
	if b.Len() == 0 {
		return
	}
	if l.since == 0 {
		l.since = max(l.uptime(), 1)
	}
	if err := l.file.write(b.String()); err != nil {
		l.complain(err)
		return
	}
	l.failed = false
}

func (l *Log) reopen() bool {
	if l.path == "" || l.uptime() < l.again {
		return false
	}
	b := &bounded{path: l.path}
	if err := b.open(); err != nil {
		l.again = l.uptime() + retry
		return false
	}
	l.file = b
	return true
}

func (l *Log) sync() {
	if l.file == nil || l.since == 0 {
		return
	}
	l.since, l.level = 0, Info
	if err := l.file.sync(); err != nil {
		l.complain(err)
	}
}

// complain says once that the log cannot be written: each complaint is a line
// of the kernel's log, and so one more to write.
func (l *Log) complain(err error) {
	l.file.close()
	l.file, l.since, l.again = nil, 0, l.uptime()+retry
	if !l.failed {
		l.failed = true
		l.err.Error("the boot log cannot be written; it is tried again once a minute", "error", err)
	}
}

// do has Run call f, and waits for it as long as ctx lasts.
func (l *Log) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	call := func() { defer close(done); f() }
	select {
	case l.calls <- call:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Attach begins this boot's file in a folder, with a first line, after moving
// the earlier ones on, and writes there from now on. It tells how the last boot
// ended.
func (l *Log) Attach(ctx context.Context, dir, first string) (last Last, err error) {
	if e := l.do(ctx, func() {
		var file *bounded
		if file, last, err = begin(dir, oneLine(first)); err == nil {
			l.file, l.path, l.since = file, file.path, 0
			l.flush()
		}
	}); e != nil {
		return Last{}, fmt.Errorf("boot log in %s: the disk does not answer: %w", dir, e)
	}
	return last, err
}

// Sync puts all lines on the disk now.
func (l *Log) Sync(ctx context.Context) error {
	if err := l.do(ctx, func() { l.flush(); l.sync() }); err != nil {
		return fmt.Errorf("sync the boot log: %w", err)
	}
	return nil
}

// End writes how this boot ends, puts all on the disk and lets go of it. What
// comes later is not kept.
func (l *Log) End(ctx context.Context, how string) error {
	err := l.do(ctx, func() {
		l.again = 0
		l.flush()
		l.path = ""
		if l.file == nil {
			return
		}
		if err := l.file.write(endMark + oneLine(how) + "\n"); err != nil {
			l.complain(err)
			return
		}
		l.since = max(l.uptime(), 1)
		l.sync()
		l.file.close()
		l.file = nil
	})
	if err != nil {
		return fmt.Errorf("end the boot log: %w", err)
	}
	return nil
}
