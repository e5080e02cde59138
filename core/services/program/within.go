package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/spec"
)

// Within is the argument with which g8os_core starts a program that has mounts
// of its own. It is for itself alone.
const Within = "start-within"

var flags = map[string]uintptr{
	"mount": unix.CLONE_NEWNS, "pid": unix.CLONE_NEWPID, "uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC, "net": unix.CLONE_NEWNET,
}

func cloneFlags(namespaces []string) (all uintptr) {
	for _, n := range namespaces {
		all |= flags[n]
	}
	return all
}

// inside is what to do in the new namespaces, before the program begins.
type inside struct {
	Tmp, Proc bool // mount them anew
	UID, GID  uint32
	Groups    []uint32
	Become    bool // the user above
}

// within has a program start by way of g8os_core, which mounts first.
func within(ps process.Spec, who *syscall.Credential, s spec.Service) (process.Spec, error) {
	self, err := os.Executable()
	if err != nil {
		return ps, err
	}
	in := inside{Tmp: s.PrivateTmp, Proc: slices.Contains(s.Namespaces, "pid")}
	if who != nil {
		in.UID, in.GID, in.Groups, in.Become = who.Uid, who.Gid, who.Groups, true
	}
	text, err := json.Marshal(in)
	if err != nil {
		return ps, err
	}
	ps.Args = slices.Concat([]string{Within, string(text), ps.Path}, ps.Args)
	ps.Path = strings.TrimSuffix(self, " (deleted)")
	return ps, nil
}

// RunWithin is what g8os_core does when it was started so: it makes the mounts,
// and becomes the program. It returns only if it cannot.
func RunWithin(args []string) error {
	if len(args) < 2 {
		return errors.New(Within + ": wants what g8os_core gives it")
	}
	var in inside
	if err := json.Unmarshal([]byte(args[0]), &in); err != nil {
		return fmt.Errorf("%s: %w", Within, err)
	}
	if err := in.mounts(); err != nil {
		return err
	}
	if in.Become {
		if err := in.become(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", args[1], syscall.Exec(args[1], args[1:], os.Environ()))
}

func (in inside) mounts() error {
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil { // what is mounted later is seen, ours is not
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if in.Proc {
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("/proc of its own: %w", err)
		}
	}
	if in.Tmp {
		if err := unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
			return fmt.Errorf("/tmp of its own: %w", err)
		}
	}
	return nil
}

func (in inside) become() error {
	groups := make([]int, len(in.Groups))
	for i, g := range in.Groups {
		groups[i] = int(g)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := syscall.Setgid(int(in.GID)); err != nil {
		return fmt.Errorf("group %d: %w", in.GID, err)
	}
	if err := syscall.Setuid(int(in.UID)); err != nil {
		return fmt.Errorf("user %d: %w", in.UID, err)
	}
	return nil
}
