package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// followEvery is how often a log is looked at that somebody follows.
const followEvery = 200 * time.Millisecond

// maxLine bounds a line of a log, in bytes: a longer one comes in pieces.
const maxLine = 64 << 10

// Logs hands out the last lines that the child of a spec wrote, and with follow
// those that come, until ctx ends or write fails. A log that is not there is
// empty.
func Logs(ctx context.Context, spec Spec, lines int, follow bool, write func(line []byte) error) error {
	f, at, err := spec.openTail(lines, write)
	if err != nil {
		return err
	}
	defer func() { closeAll([]*os.File{f}) }()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var rest []byte
	for {
		if f != nil {
			if rest, at, err = drain(f, at, rest, write); err != nil {
				return err
			}
		}
		if !follow {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if now, err := os.Open(spec.logPath()); err == nil {
			if f == nil || !sameFile(f, now) {
				closeAll([]*os.File{f})
				f, at = now, 0
			} else {
				now.Close()
			}
		}
	}
	if len(rest) > 0 {
		return write(rest)
	}
	return nil
}

// openTail opens the log at its last lines, after handing out those of the
// older one where there are not enough.
func (s Spec) openTail(lines int, write func([]byte) error) (f *os.File, at int64, err error) {
	f, err = os.Open(s.logPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	at, missing := lastLines(f, lines)
	if old, err := os.Open(older(s.logPath(), 1)); err == nil && missing > 0 {
		defer old.Close()
		from, _ := lastLines(old, missing)
		if _, _, err := drain(old, from, nil, write); err != nil {
			f.Close()
			return nil, 0, err
		}
	}
	return f, at, nil
}

// lastLines is where the last n lines of a file begin, and how many are missing.
func lastLines(f *os.File, n int) (at int64, missing int) {
	begin, end := begin(f), size(f)
	block := make([]byte, 64<<10)
	for pos := end; pos > begin; {
		from := max(begin, pos-int64(len(block)))
		part := block[:pos-from]
		if _, err := f.ReadAt(part, from); err != nil && !errors.Is(err, io.EOF) {
			return end, 0
		}
		for i := len(part) - 1; i >= 0; i-- {
			if part[i] != '\n' || from+int64(i) == end-1 {
				continue
			}
			if n--; n == 0 {
				return from + int64(i) + 1, 0
			}
		}
		pos = from
	}
	if begin < end {
		n--
	}
	return begin, n
}

// drain hands out whole lines from an offset on, and returns what is left of
// the last one.
func drain(f *os.File, at int64, rest []byte, write func([]byte) error) ([]byte, int64, error) {
	if size(f) < at { // emptied
		at, rest = 0, nil
	}
	block := make([]byte, 32<<10)
	for {
		n, err := f.ReadAt(block, at)
		at += int64(n)
		rest = append(rest, block[:n]...)
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 && len(rest) >= maxLine {
				i = len(rest)
			}
			if i < 0 {
				break
			}
			if err := write(bytes.Trim(rest[:i], "\x00\r")); err != nil {
				return nil, at, err
			}
			rest = rest[min(i+1, len(rest)):]
		}
		if err != nil {
			return bytes.Clone(rest), at, nil
		}
	}
}

func sameFile(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// Lines hands out what the child has written since it was started, and what
// comes, until ctx ends or write fails.
func (p *Process) Lines(ctx context.Context, write func(line []byte) error) error {
	return p.lines(ctx, followEvery, write)
}

// sayEvery is how often is looked whether a child says that it is ready.
const sayEvery = 20 * time.Millisecond

// Says returns when the child that was started has written a line with a text
// in it; else as Said does.
func (p *Process) Says(ctx context.Context, text string) error {
	lines := func(ctx context.Context, write func([]byte) error) error { return p.lines(ctx, sayEvery, write) }
	return Said(ctx, lines, p.died, p.Err, func(line []byte) bool { return bytes.Contains(line, []byte(text)) })
}

// errSaid ends Said.
var errSaid = errors.New("said")

// Said returns when there is a line that is waited for among those that are
// handed out until ctx ends. It returns how the one who writes them ended when
// that is before, and the cause of ctx when that ends.
func Said(ctx context.Context, lines func(ctx context.Context, write func(line []byte) error) error,
	died <-chan struct{}, how func() error, is func(line []byte) bool) error {
	alive, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-died:
			end(how())
		case <-alive.Done():
		}
	}()
	err := lines(alive, func(line []byte) error {
		if is(line) {
			return errSaid
		}
		return nil
	})
	switch {
	case errors.Is(err, errSaid):
		return nil
	case alive.Err() != nil:
		return context.Cause(alive)
	}
	return err
}

func (p *Process) lines(ctx context.Context, every time.Duration, write func(line []byte) error) error {
	f, err := os.Open(p.spec.logPath())
	if err != nil {
		return err
	}
	defer f.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var rest []byte
	for at := p.from; ; {
		if rest, at, err = drain(f, max(at, begin(f)), rest, write); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
