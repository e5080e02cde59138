package volume

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	fsType      = "fuse.gocryptfs"
	mountTable  = "/proc/self/mountinfo"
	answerLimit = 3 * time.Second // a stat on the volume takes a millisecond
)

// mountedAt tells whether a gocryptfs of ours is what one sees at a mount point.
func mountedAt(source, point string) (bool, error) {
	raw, err := os.ReadFile(mountTable)
	if err != nil {
		return false, fmt.Errorf("read the mount table: %w", err)
	}
	top, ok := topmost(bytes.NewReader(raw), point)
	return ok && top.fsType == fsType && top.source == source, nil
}

type entry struct{ fsType, source string }

// topmost returns the last mount on a mount point, which hides earlier ones
// (proc_pid_mountinfo(5): "… mount point, options, optional fields, -, type, source").
func topmost(table io.Reader, point string) (last entry, found bool) {
	for lines := bufio.NewScanner(table); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(head) < 5 || len(tail) < 2 || unescape(head[4]) != point {
			continue
		}
		last, found = entry{tail[0], unescape(tail[1])}, true
	}
	return last, found
}

// unescape turns the octal escapes of the mount table back.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`).Replace

// answers asks the daemon about the root of the volume, past what the kernel
// remembers of it (statx(2)).
func answers(point string) error {
	return inTime(point, func() error {
		for {
			var st unix.Statx_t
			err := unix.Statx(unix.AT_FDCWD, point, unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
			if !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	})
}

// readable has the daemon read the root of the volume.
func readable(point string) error {
	return inTime(point, func() error {
		_, err := os.ReadDir(point)
		return err
	})
}

// inTime asks the daemon something. A hung one would keep us for ever, so the
// asking goroutine may be left behind, until Unmount.
func inTime(point string, ask func() error) error {
	done := make(chan error, 1)
	go func() { done <- ask() }()
	limit := time.NewTimer(answerLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("the mounted volume does not answer: %w", err)
		}
		return nil
	case <-limit.C:
		return fmt.Errorf("the mounted volume %s did not answer within %v", point, answerLimit)
	}
}

// detach takes our mounts off a mount point, whatever their state. When the
// friendly way fails (files in use, daemon dead or hung), by force: the kernel
// then aborts every request that waits for an answer. Without that a killed
// daemon can wait for itself for ever, unkillable: go-fuse polls a file of its
// own file system just after mounting.
func detach(source, point string) error {
	for {
		mounted, err := mountedAt(source, point)
		if err != nil || !mounted {
			return err
		}
		if answers(point) == nil && unix.Unmount(point, 0) == nil {
			continue
		}
		if err := unix.Unmount(point, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
}
