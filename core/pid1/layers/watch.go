package layers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Files lists the layers that are kept in a folder, newest first.
func Files(dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*.squashfs"))
	if err != nil {
		return nil
	}
	age := func(path string) int64 {
		st, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return st.ModTime().UnixNano()
	}
	slices.SortStableFunc(files, func(a, b string) int { return int(min(1, max(-1, age(b)-age(a)))) })
	return files
}

// Watch calls found when a file may have come into a folder, once at the start,
// until found says false or ctx ends.
func Watch(ctx context.Context, dir string, found func() bool) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	defer f.Close()
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	defer context.AfterFunc(ctx, func() { f.Close() })()
	buf := make([]byte, 4096)
	for found() {
		if _, err := f.Read(buf); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch %s: %w", dir, err)
		}
	}
	return nil
}
