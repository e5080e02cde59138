package template

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	keep  = 3                // templates that stay, however old
	fresh = 10 * time.Minute // and one used so lately may be about to be cloned
)

// lock takes the right to look at, and make, one template.
func lock(ctx context.Context, path string, say func(string, ...any)) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !told {
			say("another process makes this template; waiting for it")
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: another process holds it: %w", path, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// prune removes the templates that were not used for longest, and what a maker
// that died left behind. Machines that run keep what they mapped.
func prune(cache, used string) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return // nothing is lost
	}
	type old struct {
		path string
		at   time.Time
	}
	var all []old
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || !e.IsDir() || time.Since(st.ModTime()) < fresh {
			continue
		}
		path := filepath.Join(cache, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".making-"):
			_ = os.RemoveAll(path)
		case strings.HasPrefix(e.Name(), "template-") && path != used:
			all = append(all, old{path, st.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b old) int { return cmp.Compare(b.at.UnixNano(), a.at.UnixNano()) })
	for _, o := range all[min(keep-1, len(all)):] {
		_ = os.RemoveAll(o.path)
	}
}

// cpuModel is the first "model name" of /proc/cpuinfo.
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
