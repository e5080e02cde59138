package bootlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/g8os/g8os/core/durable"
)

// Where the kernel shows what the firmware kept of a crash, and where we do.
const (
	PstoreDir = "/sys/fs/pstore"
	CrashDir  = Dir + "/crash"
)

// maxCrashes is how many records are kept, of at most maxRecord bytes each.
const (
	maxCrashes = 64
	maxRecord  = 1 << 20
)

// Crash is one record that was collected.
type Crash struct {
	Path string
	Kind string // "Panic", "Oops", …: the kernel's word; empty when it says none
}

// Collect moves the records of pstore into a folder; each is on the disk
// before it is taken from the firmware, where there is little room. What could
// be collected is returned along with the error.
func Collect(pstore, dir string) ([]Crash, error) {
	records, err := os.ReadDir(pstore)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(records) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for records of a crash: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("keep the records of a crash: %w", err)
	}
	var out []Crash
	var errs []error
	for _, r := range records {
		c, err := collect(filepath.Join(pstore, r.Name()), dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("keep the record of a crash: %w", err))
			continue
		}
		out = append(out, c)
	}
	return out, errors.Join(append(errs, prune(dir))...)
}

func collect(from, dir string) (Crash, error) {
	st, err := os.Stat(from)
	if err != nil {
		return Crash{}, err
	}
	raw, err := os.ReadFile(from)
	if err != nil {
		return Crash{}, err
	}
	to := filepath.Join(dir, st.ModTime().UTC().Format("2006-01-02T150405-")+filepath.Base(from))
	if err := durable.Write(durable.OS, to, raw[:min(len(raw), maxRecord)], 0o640); err != nil {
		return Crash{}, err
	}
	return Crash{to, kind(raw)}, os.Remove(from)
}

// kind is the first word of a record, up to its number: "Panic#1 Part1".
func kind(raw []byte) string {
	head, _, _ := bytes.Cut(raw[:min(len(raw), 64)], []byte("\n"))
	word, _, ok := bytes.Cut(head, []byte("#"))
	if !ok || bytes.ContainsAny(word, " \t") {
		return ""
	}
	return string(word)
}

// prune removes the oldest records: names begin with their time.
func prune(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("keep the records of a crash: %w", err)
	}
	var errs []error
	for _, e := range entries[:max(0, len(entries)-maxCrashes)] {
		errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// CrashNotice says what the records mean, the gravest first; empty for none.
func CrashNotice(crashes []Crash) string {
	for _, kind := range []string{"Panic", "Oops"} {
		if i := slices.IndexFunc(crashes, func(c Crash) bool { return c.Kind == kind }); i >= 0 {
			return map[string]string{"Panic": "the last boot ended in a panic: ", "Oops": "the kernel of an earlier boot had an oops: "}[kind] + crashes[i].Path
		}
	}
	if len(crashes) > 0 {
		return "the firmware kept a record of an earlier boot: " + crashes[0].Path
	}
	return ""
}
