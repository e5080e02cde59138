package pid1

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A mount is a file system of the kernel's own.
type mount struct {
	kind, target string
	flags        uintptr
	options      string
	needs        string // a folder without which it is not for this machine
}

const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

const efiVars = "/sys/firmware/efi/efivars"

var kernelMounts = []mount{
	{"proc", "/proc", plain, "", ""},
	{"sysfs", "/sys", plain, "", ""},
	{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=755", ""},
}

var systemMounts = []mount{
	{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=666", ""},
	{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777,size=50%", ""},
	{"mqueue", "/dev/mqueue", plain, "", ""},
	{"tmpfs", "/tmp", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777,size=50%", ""},
	{"cgroup2", "/sys/fs/cgroup", plain, "nsdelegate", "/sys/fs/cgroup"},
	{"pstore", "/sys/fs/pstore", plain, "", "/sys/fs/pstore"},
	{"bpf", "/sys/fs/bpf", plain, "mode=700", "/sys/fs/bpf"},
	{"securityfs", "/sys/kernel/security", plain, "", "/sys/kernel/security"},
}

// mountAll mounts what is for this machine; one that fails does not keep the
// others.
func mountAll(root string, mounts []mount) error {
	var errs []error
	for _, m := range mounts {
		if m.needs != "" {
			if _, err := os.Stat(m.needs); err != nil {
				continue
			}
		}
		target := filepath.Join(root, m.target)
		if err := os.MkdirAll(target, 0o755); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", target, err))
			continue
		}
		err := unix.Mount(m.kind, target, m.kind, m.flags, m.options)
		if err != nil && !errors.Is(err, unix.EBUSY) { // the kernel had mounted it (devtmpfs.mount=1)
			errs = append(errs, fmt.Errorf("%s on %s: %w", m.kind, target, err))
		}
	}
	return errors.Join(errs...)
}
