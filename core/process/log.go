package process

import (
	"io"
	"os"
	"strings"
	"time"
)

// A child's log is for the operator who looks why it failed; the newest part
// counts.
const (
	maxLog    = 1 << 20 // bytes; a longer log is emptied, its last content kept in NAME.log.1
	trimEvery = time.Minute
	tail      = 4 << 10 // bytes read when a child has died
)

// openLog opens a log to append to: several writers, and truncation, work.
func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// trimLog bounds the log as long as the process runs.
func (p *Process) trimLog() {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.died:
			return
		case <-tick.C:
			if err := trim(p.spec.logPath()); err != nil {
				p.log.Warn("cannot trim the log of a child", "child", p.spec.Name, "error", err)
			}
		}
	}
}

func trim(path string) error {
	st, err := os.Stat(path)
	if err != nil || st.Size() <= maxLog {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".1", content[max(0, len(content)-maxLog):], 0o600); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

// lastLines returns the last n lines after an offset that are not empty.
func (s Spec) lastLines(from int64, n int) []string {
	f, err := os.Open(s.logPath())
	if err != nil {
		return nil
	}
	defer f.Close()
	now := size(f)
	if now < from { // emptied meanwhile
		from = 0
	}
	raw, _ := io.ReadAll(io.NewSectionReader(f, max(from, now-tail), tail))
	lines := strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' || r == '\r' })
	return lines[max(0, len(lines)-n):]
}

func size(f *os.File) int64 {
	st, err := f.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}
