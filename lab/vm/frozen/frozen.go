// Package frozen is the way to a machine that was written down as a process: how
// QEMU is started so that it can be, how it is told to, and how another becomes
// it. The work itself is done inside QEMU, by the library whose source lies here
// (frozen.c says how).
//
//	Recording(argv) ─▶ QEMU stands still ─▶ Write ─▶ image
//	image ─▶ Becoming(argv) ─▶ QEMU that stands still, with all it has translated
//
// It promises no machine: where there is no library, where it says no, and where
// the image does not fit this host any more, a clone reads its template's state
// and translates its code itself.
package frozen

import (
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

// Name is what the library's file is called; it lies beside g8lab.
const Name = "g8frozen.so"

// Library is the one in a folder; "": there is none.
func Library(dir string) string {
	if dir == "" {
		return ""
	}
	path, err := filepath.Abs(filepath.Join(dir, Name))
	if err != nil {
		return ""
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	return path
}

// Recording is the command line of a QEMU that Write can write into image.
func Recording(library, image string, argv []string) []string {
	return slices.Concat([]string{"env", "LD_PRELOAD=" + library, "G8FROZEN_TO=" + image}, argv)
}

// Becoming is the command line of a process that becomes what is in image. The
// words after env are what ps(1) shows. files says where those files are now that
// are not shared with the template, by their names.
func Becoming(library, image string, files map[string]string, argv []string) []string {
	lines := []string{Name + "=" + library}
	for name, path := range files {
		lines = append(lines, name+"="+path)
	}
	slices.Sort(lines)
	return slices.Concat([]string{"env", "LD_PRELOAD=" + library, "G8FROZEN_FROM=" + image,
		"G8FROZEN_FILES=" + strings.Join(lines, "\n")}, argv)
}

// forget is G8_FORGET in lib/frozen.h.
const forget = unix.Signal(40)

// Forget has the QEMU that was started by Recording throw away what it has
// translated so far, which is what a boot needs and none of its clones. What they
// need lies close together then, and is found faster. It is done a moment later.
func Forget(pid int) error {
	if err := unix.Kill(pid, forget); err != nil {
		return fmt.Errorf("forget what was translated: %w", err)
	}
	return nil
}

// patience is how long the writing may take: some 100 MiB.
const patience = 30 * time.Second

// Write has the QEMU that was started by Recording write its image. It stands
// still before and after, nobody is connected to its sockets (QEMU may not have
// noticed yet that somebody left), and no disk or card is in.
func Write(ctx context.Context, pid int, image string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for tries := 1; ; {
		// Again and again: one that comes while QEMU works is seen only when
		// something else wakes it. It counts once.
		if err := unix.Kill(pid, unix.SIGUSR2); err != nil {
			return fmt.Errorf("freeze: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("freeze: no image came: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := os.Stat(image); err == nil {
			return nil
		}
		if said, err := os.ReadFile(image + ".err"); err == nil {
			err = os.Remove(image + ".err")
			if tries++; tries > 10 || err != nil {
				return errors.Join(fmt.Errorf("freeze: %s", strings.TrimSpace(string(said))), err)
			}
		}
	}
}
