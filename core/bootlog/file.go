package bootlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/durable"
)

// The files of a folder, and their size. Of a boot that says more than maxFile
// the beginning stays, and the end.
const (
	fileName = "boot.log"
	boots    = 5 // with the present one
	maxFile  = 1 << 20
	keepHead = 512 << 10
	keepTail = 256 << 10
	headMark = "=== boot: "
	endMark  = "=== ended: "
)

// Path is the file of a boot: 0 the present one, -1 the one before, …
func Path(dir string, boot int) string {
	if boot == 0 {
		return filepath.Join(dir, fileName)
	}
	return filepath.Join(dir, fileName+"."+strconv.Itoa(-boot))
}

// Oldest is the oldest boot that is kept.
const Oldest = 1 - boots

// Last is how the boot before ended.
type Last struct {
	Known bool   // there was one, and its log was kept
	How   string // what it said at its end; empty: it had no time to say anything
}

// Notice is what to tell a person about it; empty when there is nothing to
// tell.
func (l Last) Notice() string {
	if l.Known && l.How == "" {
		return "the last boot ended without a word (power cut, reset, crash of the kernel): g8os_core log --boot=-1"
	}
	if strings.Contains(l.How, "panic") {
		return "the last boot ended in a " + l.How + ": g8os_core log --boot=-1"
	}
	return ""
}

// begin moves the files of earlier boots on and opens that of this one.
func begin(dir, first string) (*bounded, Last, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, Last{}, fmt.Errorf("boot log: %w", err)
	}
	last := ending(Path(dir, 0))
	for boot := Oldest; boot < 0; boot++ {
		if err := os.Rename(Path(dir, boot+1), Path(dir, boot)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, last, fmt.Errorf("boot log: %w", err)
		}
	}
	b := &bounded{path: Path(dir, 0)}
	if err := b.open(); err != nil {
		return nil, last, err
	}
	err := b.write(headMark + first + "\n")
	if err == nil {
		err = errors.Join(b.sync(), durable.SyncDir(durable.OS, dir))
	}
	if err != nil {
		b.close()
		return nil, last, err
	}
	return b, last, nil
}

// ending reads how a boot ended from the last line of its log. The disk may be
// from anywhere: it reads no more than a line can have, and waits for nothing.
func ending(path string) Last {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return Last{}
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return Last{}
	}
	raw := make([]byte, min(st.Size(), 4*maxLine))
	if _, err := f.ReadAt(raw, st.Size()-int64(len(raw))); err != nil {
		return Last{}
	}
	lines := bytes.Split(bytes.TrimRight(raw, "\n\x00"), []byte("\n"))
	how, ok := bytes.CutPrefix(lines[len(lines)-1], []byte(endMark))
	if !ok {
		return Last{Known: true}
	}
	return Last{Known: true, How: string(how)}
}

// bounded is a file that grows to maxFile at most: then its middle is left out.
type bounded struct {
	path string
	f    *os.File
	size int64
}

func (b *bounded) open() error {
	f, err := os.OpenFile(b.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("boot log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("boot log: %w", err)
	}
	b.f, b.size = f, st.Size()
	return nil
}

func (b *bounded) write(text string) error {
	n, err := b.f.WriteString(text)
	b.size += int64(n)
	if err != nil {
		return fmt.Errorf("boot log: %w", err)
	}
	if b.size <= maxFile {
		return nil
	}
	return b.shorten()
}

func (b *bounded) shorten() error {
	raw, err := os.ReadFile(b.path)
	if err != nil {
		return fmt.Errorf("boot log: %w", err)
	}
	if err := durable.Write(durable.OS, b.path, cut(raw, keepHead, keepTail), 0o640); err != nil {
		return err
	}
	b.f.Close()
	return b.open()
}

// cut leaves the middle out, whole lines, and says so. What an earlier cut said
// is in the middle, so its number is lost; the uptimes tell.
func cut(raw []byte, head, tail int) []byte {
	if len(raw) <= head+tail {
		return raw
	}
	from := bytes.LastIndexByte(raw[:head], '\n') + 1
	to := len(raw) - tail
	if i := bytes.IndexByte(raw[to:], '\n'); i >= 0 {
		to += i + 1
	}
	note := fmt.Sprintf("=== %d bytes left out here\n", to-from)
	return append(append(bytes.Clone(raw[:from]), note...), raw[to:]...)
}

func (b *bounded) sync() error {
	if err := b.f.Sync(); err != nil {
		return fmt.Errorf("boot log: %w", err)
	}
	return nil
}

func (b *bounded) close() { _ = b.f.Close() }
