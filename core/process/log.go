package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A child's log is for the operator who looks why it failed; the newest part
// counts. The child writes to it by itself, so that nothing of it is lost, and
// nothing waits, while there is no core.
const (
	maxLog    = 1 << 20 // bytes, unless the spec says otherwise
	trimEvery = 10 * time.Second
	tail      = 4 << 10 // bytes of the end that are looked at
)

// openLog opens a log to append to: several writers work. One that was trimmed
// while a child wrote to it gives way to a new file.
func (s Spec) openLog() (*os.File, error) {
	path := s.logPath()
	if f, err := os.Open(path); err == nil {
		from := begin(f)
		f.Close()
		if from > 0 {
			if err := s.rotate(size); err != nil {
				return nil, err
			}
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		}
	}
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
			if err := p.spec.trim(); err != nil {
				p.log.Warn("cannot trim the log of a child", "child", p.spec.Name, "error", err)
			}
		}
	}
}

func (s Spec) trim() error {
	f, err := os.Open(s.logPath())
	if err != nil {
		return err
	}
	defer f.Close()
	if size(f)-begin(f) <= s.LogSize {
		return nil
	}
	return s.rotate(lastLine)
}

// rotate moves what is in the log, up to an end, to NAME.log.1, and what was there to
// NAME.log.2. The child goes on writing meanwhile, so that the file cannot be
// truncated without losing lines: what was copied becomes a hole instead
// (fallocate(2)), which takes no room.
func (s Spec) rotate(until func(*os.File) int64) error {
	path := s.logPath()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	end := until(f)
	if s.LogKeep > 0 {
		if err := keepCopy(path, f, end); err != nil {
			return err
		}
		for i := s.LogKeep; i > 1; i-- {
			_ = os.Rename(older(path, i-1), older(path, i)) // not there yet
		}
		if err := os.Rename(path+".new", older(path, 1)); err != nil {
			return err
		}
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, end)
	if errors.Is(err, unix.EOPNOTSUPP) { // such a file system loses what is written right now
		return os.Truncate(path, 0)
	}
	return err
}

// keepCopy writes what is in a log up to its end to a file beside it.
func keepCopy(path string, f *os.File, end int64) error {
	out, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	from := begin(f)
	_, err = io.Copy(out, io.NewSectionReader(f, from, end-from))
	return err
}

func older(path string, n int) string { return fmt.Sprintf("%s.%d", path, n) }

// begin is where a log begins: behind its hole.
func begin(f *os.File) int64 {
	at, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // nothing but a hole
		return size(f)
	}
	if err != nil {
		at = 0
	}
	page := make([]byte, 64<<10) // a hole ends with a page; the rest of it is zeros
	n, _ := f.ReadAt(page, at)
	if at == 0 && (n == 0 || page[0] != 0) {
		return 0
	}
	zeros := 0
	for zeros < n && page[zeros] == 0 {
		zeros++
	}
	return at + int64(zeros)
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
	lines := strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' || r == '\r' || r == 0 })
	return lines[max(0, len(lines)-n):]
}

// lastLine is where the last line ends that a log has whole: its size grows page
// by page in the middle of a write. A log without lines ends where it ends.
func lastLine(f *os.File) int64 {
	end := size(f)
	raw := make([]byte, min(tail, end))
	n, _ := f.ReadAt(raw, end-int64(len(raw)))
	if i := bytes.LastIndexByte(raw[:n], '\n'); i >= 0 {
		return end - int64(len(raw)) + int64(i) + 1
	}
	return end
}

func size(f *os.File) int64 {
	st, err := f.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}
