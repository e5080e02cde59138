// Package disk makes the disks of virtual machines: the state disk, the boot
// medium, copies of the image of a stick, UEFI's variables.
//
// It promises: a file is made aside and renamed, so a maker that dies leaves no
// half disk; what would not fit is refused before it is begun; base images,
// which many machines share, are made once and never written afterwards.
// Overlays grow as they are written to: a disk that is full then is the
// guest's I/O error, not ours.
package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Labels of the file systems a node looks for.
const (
	StateLabel  = "G8OS"
	MediumLabel = "G8BOOT"
)

// smallestState is where ext4 still has a journal and room.
const smallestState = 16

// State makes the state disk of one machine: a qcow2 overlay over an empty
// ext4 labelled G8OS (label "": an empty disk without a file system), which is
// made once per size and kept in the cache. A disk that is there already stays
// as it is: it is the node's.
func State(ctx context.Context, cache, path string, mib int, label string) error {
	fail := func(err error) error { return fmt.Errorf("state disk %s: %w", path, err) }
	if _, err := os.Stat(path); err == nil {
		return whole(path)
	}
	if mib < smallestState {
		return fail(fmt.Errorf("%d MiB are too few, at least %d", mib, smallestState))
	}
	base, err := emptyExt4(ctx, cache, mib, label)
	if err != nil {
		return fail(err)
	}
	if err := Overlay(ctx, base, "raw", path); err != nil {
		return fail(err)
	}
	return nil
}

// whole says of an overlay that was damaged what can be done.
func whole(path string) error {
	const magic = "QFI\xfb" // docs/interop/qcow2.txt of QEMU
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil || string(head) != magic {
		return fmt.Errorf("state disk %s: is damaged, it does not begin as a qcow2 does; remove it, and an empty one is made", path)
	}
	return nil
}

// emptyExt4 is the base all state disks of one size share.
func emptyExt4(ctx context.Context, cache string, mib int, label string) (string, error) {
	name := fmt.Sprintf("state-%s-%dM.raw", strings.ToLower(label), mib)
	path := filepath.Join(cache, name)
	if st, err := os.Stat(path); err == nil && st.Size() == int64(mib)<<20 {
		return path, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// The file system's own UUID is the same on every node; nothing asks for it.
	return path, aside(path, int64(mib)<<20/16, func(tmp string) error {
		if err := os.Truncate(tmp, int64(mib)<<20); err != nil || label == "" {
			return err
		}
		return run(ctx, "mkfs.ext4", "-q", "-F", "-L", label, "-m", "1", "-E", "lazy_itable_init=0,lazy_journal_init=1,nodiscard", tmp)
	})
}

// Overlay makes a qcow2 at path that holds what differs from a base image.
func Overlay(ctx context.Context, base, format, path string) error {
	return aside(path, 1<<20, func(tmp string) error {
		return run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", base, tmp)
	})
}

// Medium is what a boot medium says to a node: files of its folder g8os.
type Medium map[string][]byte

// mediumMiB is the size of a boot medium that is nothing else.
const mediumMiB = 4

// WriteMedium makes a disk with one FAT file system labelled G8BOOT, and
// reports whether it had to: one that says the same stays as it is.
func WriteMedium(ctx context.Context, path string, m Medium) (changed bool, err error) {
	sum := m.sum()
	if old, err := os.ReadFile(path + ".sum"); err == nil && string(old) == sum {
		if _, err := os.Stat(path); err == nil {
			return false, nil
		}
	}
	fail := func(err error) (bool, error) { return false, fmt.Errorf("boot medium %s: %w", path, err) }
	// First the note goes: half-way there must be none.
	if err := os.Remove(path + ".sum"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fail(err)
	}
	err = aside(path, mediumMiB<<20, func(tmp string) error {
		if err := os.Truncate(tmp, mediumMiB<<20); err != nil {
			return err
		}
		if err := run(ctx, "mkfs.vfat", "-n", MediumLabel, "-i", "98050000", "--invariant", tmp); err != nil {
			return err
		}
		return m.copyTo(ctx, tmp)
	})
	if err != nil {
		return fail(err)
	}
	return true, os.WriteFile(path+".sum", []byte(sum), 0o644)
}

// copyTo puts the files into a FAT file system.
func (m Medium) copyTo(ctx context.Context, fat string) error {
	dir, err := os.MkdirTemp("", "g8medium-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	folder := filepath.Join(dir, "g8os")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	for name, text := range m {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return run(ctx, "mcopy", "-s", "-Q", "-o", "-i", fat, folder, "::")
}

func (m Medium) sum() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(h, "%q %q\n", name, m[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Vars copies OVMF's empty variables for one machine; those that are there stay.
func Vars(template, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	text, err := os.ReadFile(template)
	if err != nil {
		return fmt.Errorf("UEFI variables: %w; install ovmf", err)
	}
	return aside(path, int64(len(text)), func(tmp string) error { return os.WriteFile(tmp, text, 0o644) })
}

// aside makes a file beside path and renames it. want is what it will take.
func aside(path string, want int64, fill func(tmp string) error) error {
	if err := room(filepath.Dir(path), want); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	tmp := f.Name()
	defer os.Remove(tmp)
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// room says in one line what a dozen tools say in a dozen ways.
func room(dir string, want int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < want {
		return fmt.Errorf("disk full: %s has %d KiB free, this takes %d; make room there", dir, free>>10, want>>10)
	}
	return nil
}

func run(ctx context.Context, argv ...string) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("%w (ci/install vm installs it)", err)
		}
		return fmt.Errorf("%s: %w: %s", argv[0], err, strings.Join(strings.Fields(out.String()), " "))
	}
	return nil
}
