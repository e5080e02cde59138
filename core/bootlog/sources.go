package bootlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/go-kmsg"
)

// Follow notes the kernel's log, from its beginning, until ctx ends.
func (l *Log) Follow(ctx context.Context) error {
	r, err := kmsg.NewReader(kmsg.Follow())
	if err != nil {
		return fmt.Errorf("read the kernel's log: %w", err)
	}
	defer r.Close()
	packets := r.Scan(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case p, ok := <-packets:
			switch {
			case !ok:
				return fmt.Errorf("the kernel's log has ended")
			case p.Err != nil:
				l.Line(Warn, "a line of the kernel's log cannot be read: "+p.Err.Error())
			default:
				l.kernel(p.Message)
			}
		}
	}
}

// kernel notes one message; its continuation lines are for machines.
func (l *Log) kernel(m kmsg.Message) {
	text, _, _ := strings.Cut(m.Message, "\n")
	if m.Facility == kmsg.Kern {
		text = "kernel: " + text
	}
	l.at(time.Duration(m.Clock)*time.Microsecond, Level(m.Priority), text)
}

// Writer returns a writer whose lines are noted with a prefix, at the level
// that a line of slog bears. It takes all that is written.
func (l *Log) Writer(prefix string) io.Writer { return &writer{log: l, prefix: prefix} }

type writer struct {
	log    *Log
	prefix string
	mu     sync.Mutex
	part   []byte
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		one, rest, whole := bytes.Cut(p, []byte("\n"))
		if room := 2*maxLine - len(w.part); room > 0 {
			w.part = append(w.part, one[:min(room, len(one))]...)
		}
		if !whole {
			return n, nil
		}
		if text := string(w.part); strings.TrimSpace(text) != "" {
			w.log.Line(levelOf(text), w.prefix+text)
		}
		w.part, p = w.part[:0], rest
	}
}

func levelOf(text string) Level {
	switch {
	case strings.Contains(text, "level=ERROR"), strings.HasPrefix(text, "panic:"), strings.HasPrefix(text, "fatal error:"):
		return Error
	case strings.Contains(text, "level=WARN"):
		return Warn
	}
	return Info
}
