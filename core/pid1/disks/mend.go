package disks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Fsck is the program that mends; it is in the base.
const Fsck = "/usr/sbin/fsck.ext4"

// fsckLimit is for a check of the biggest of disks; it shows that it is at work.
const fsckLimit = 2 * time.Hour

// Exit codes of e2fsck(8) are bits.
const (
	fsckCorrected   = 1
	fsckReboot      = 2
	fsckUncorrected = 4
)

// Attempt is one step of bringing a state disk up.
type Attempt string

// The attempts.
const (
	Mount  Attempt = "mount"
	Preen  Attempt = "fsck -p" // what can be mended without loss
	Repair Attempt = "fsck -y" // what can be mended at all
	GiveUp Attempt = "give up"
)

// Attempts returns the steps for a disk in some health, each to be tried when
// the one before has failed. After a check that worked comes Mount.
func Attempts(h Health) []Attempt {
	switch {
	case h.Sound():
		return []Attempt{Mount, Preen, Repair, GiveUp}
	case h.Backup != 0: // preening refuses without a superblock
		return []Attempt{Repair, GiveUp}
	}
	return []Attempt{Preen, Repair, GiveUp}
}

// Mender mounts state disks, with what it takes before.
type Mender struct {
	Log   *slog.Logger
	mount func(device, target string) error
	fsck  func(ctx context.Context, flag, device string) (code int, said string, err error)
}

// NewMender returns one that works on this machine.
func NewMender(log *slog.Logger) *Mender {
	return &Mender{Log: log, mount: mountExt4, fsck: fsck}
}

// Mount mounts a state disk on target, and mends it before if it must. When it
// cannot, the disk is as e2fsck left it, and the error says what was tried.
func (m *Mender) Mount(ctx context.Context, f Found, target string) error {
	var failed []error
	for _, a := range Attempts(f.Content.Ext4) {
		err := m.try(ctx, a, f.Name, target)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
		if a != GiveUp {
			m.Log.Warn("state disk: not yet", "disk", f.Name, "tried", a, "error", err)
		}
	}
	return errors.Join(failed...)
}

func (m *Mender) try(ctx context.Context, a Attempt, name, target string) error {
	switch a {
	case Preen, Repair:
		if err := m.check(ctx, a, name); err != nil {
			return err
		}
	case GiveUp:
		return fmt.Errorf("state disk %s cannot be mounted and not be mended; it is left as it is: look at it with fsck.ext4 /dev/%s, or format it with mkfs.ext4 -L %s", name, name, StateLabel)
	}
	if err := m.mount(Path(name), target); err != nil {
		return fmt.Errorf("mount %s on %s: %w", Path(name), target, err)
	}
	return nil
}

func (m *Mender) check(ctx context.Context, a Attempt, name string) error {
	flag := strings.TrimPrefix(string(a), "fsck ")
	m.Log.Warn("state disk: is checked, this may take a while", "disk", name, "with", a)
	code, said, err := m.fsck(ctx, flag, Path(name))
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", a, name, err)
	case code&^(fsckCorrected|fsckReboot) != 0:
		return fmt.Errorf("%s %s: exit code %d: %s", a, name, code, said)
	case code != 0:
		m.Log.Warn("state disk: was damaged and is mended; what could not be placed is in lost+found", "disk", name, "with", a, "said", said)
	}
	return nil
}

// mountExt4 mounts so that damage met later makes it read-only, and is mended
// at the next boot.
func mountExt4(device, target string) error {
	return unix.Mount(device, target, "ext4", unix.MS_NOATIME, "errors=remount-ro")
}

func fsck(ctx context.Context, flag, device string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, fsckLimit)
	defer cancel()
	var out tail
	cmd := exec.CommandContext(ctx, Fsck, flag, device)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	said := lastLines(string(out), 3)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), said, nil
	}
	return 0, said, err
}

// tail is the end of what is written to it: e2fsck has a line for each block of
// a disk that is beyond hope.
type tail []byte

const tailSize = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p[max(0, len(p)-tailSize):]...)
	*t = append((*t)[:0], (*t)[max(0, len(*t)-tailSize):]...)
	return len(p), nil
}

func lastLines(s string, n int) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
