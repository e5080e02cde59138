package keep

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Log is a file of bounded size that output is appended to; what was before is
// in PATH.1. Its Write never fails: a full disk must not end the program.
type Log struct {
	path string
	max  int64
	line func(string) // gets each line; nil: nobody

	mu   sync.Mutex
	file *os.File
	size int64
	rest []byte // of a line that has not ended
}

// maxLine is how much of a line others get.
const maxLine = 1 << 10

// NewLog returns a log that holds at most 2 x max bytes on disk. line gets each
// line that is written, cut to a kilobyte.
func NewLog(path string, max int64, line func(string)) *Log {
	return &Log{path: path, max: max, line: line}
}

// Write appends.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(b)
	if l.line != nil {
		l.lines(b)
	}
	return len(b), nil
}

// Close lets go of the file: what comes later is handed out, and not kept.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path = ""
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

func (l *Log) append(b []byte) {
	if l.path == "" {
		return
	}
	if l.file == nil && l.turn() != nil {
		return // no disk, or a full one: the lines still go to whom they interest
	}
	if l.size > 0 && l.size+int64(len(b)) > l.max && l.turn() != nil {
		return
	}
	n, _ := l.file.Write(b)
	l.size += int64(n)
}

// turn opens the file, or begins a new one when it is full.
func (l *Log) turn() error {
	if l.file != nil {
		l.file.Close()
		l.file = nil
		if os.Rename(l.path, l.path+".1") != nil {
			_ = os.Truncate(l.path, 0) // the bound counts for more
		}
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	l.file, l.size = f, 0
	if st, err := f.Stat(); err == nil {
		l.size = st.Size()
	}
	return nil
}

func (l *Log) lines(b []byte) {
	for {
		head, tail, ended := bytes.Cut(b, []byte("\n"))
		if room := maxLine - len(l.rest); room > 0 {
			l.rest = append(l.rest, head[:min(room, len(head))]...)
		}
		if !ended {
			return
		}
		if len(l.rest) > 0 {
			l.line(string(l.rest))
		}
		l.rest, b = l.rest[:0], tail
	}
}
