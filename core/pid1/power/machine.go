package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// askEvery is how often it is asked whether the processes have gone.
const askEvery = 20 * time.Millisecond

// kernelThread is PF_KTHREAD of include/linux/sched.h.
const kernelThread = 0x00200000

// machine performs actions on this machine.
type machine struct {
	hooks Hooks
	kind  Kind
}

func (m *machine) do(ctx context.Context, a Action) error {
	switch a {
	case StopServices:
		return hook(ctx, m.hooks.Services)
	case StopDaemon:
		return hook(ctx, m.hooks.Daemon)
	case TermAll:
		return end(ctx, syscall.SIGTERM, false)
	case KillAll:
		return end(ctx, syscall.SIGKILL, false)
	case UnmountFUSE:
		return unmount(true)
	case KillServers:
		return end(ctx, syscall.SIGKILL, true)
	case EndLog:
		return hook(ctx, m.hooks.Log)
	case UnmountDisks:
		return unmount(false)
	case ReadOnly:
		return readOnly()
	case Sync:
		unix.Sync()
	case Disarm:
		if m.hooks.Disarm != nil {
			return m.hooks.Disarm()
		}
	}
	return nil
}

func hook(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	return f(ctx)
}

// stop is the last call: the kernel does not come back from it.
func (m *machine) stop() error {
	cmd := map[Kind]int{PowerOff: unix.LINUX_REBOOT_CMD_POWER_OFF, Reboot: unix.LINUX_REBOOT_CMD_RESTART, Halt: unix.LINUX_REBOOT_CMD_HALT}[m.kind]
	if err := unix.Reboot(cmd); err != nil {
		return fmt.Errorf("%s: the kernel refuses: %w", m.kind, err)
	}
	return nil
}

// end sends a signal to all processes of a sort, and waits until they have
// gone. New ones that come up meanwhile get it too.
func end(ctx context.Context, s syscall.Signal, servers bool) error {
	told := map[int]bool{}
	for {
		pids := targets(processes(), servers)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if !told[pid] {
				told[pid] = true
				_ = syscall.Kill(pid, s)
			}
		}
		pause := time.NewTimer(askEvery)
		select {
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%d processes stay after %v: %s", len(pids), s, names(pids))
		case <-pause.C:
		}
	}
}

func names(pids []int) string {
	var out []string
	for _, pid := range pids[:min(len(pids), 8)] {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		out = append(out, fmt.Sprintf("%s (%d)", strings.TrimSpace(string(name)), pid))
	}
	return strings.Join(out, ", ")
}

// processes lists the machine's processes. One that ends meanwhile is left out.
func processes() []proc {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []proc
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		p := parse(pid, string(raw))
		p.fuse = !p.kernel && servesFUSE(pid)
		out = append(out, p)
	}
	return out
}

// parse reads state and flags (proc_pid_stat(5), fields 3 and 9), counted from
// the end of the name, which may hold anything.
func parse(pid int, stat string) proc {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 7 {
		return proc{pid: pid, zombie: true}
	}
	flags, _ := strconv.ParseUint(fields[6], 10, 64)
	return proc{pid: pid, kernel: flags&kernelThread != 0, zombie: fields[0] == "Z" || fields[0] == "X"}
}

// servesFUSE tells whether a process has a file system to answer for.
func servesFUSE(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, _ := os.ReadDir(dir)
	for _, fd := range fds {
		if to, err := os.Readlink(dir + "/" + fd.Name()); err == nil && to == "/dev/fuse" {
			return true
		}
	}
	return false
}

func unmount(fuse bool) error {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	var errs []error
	for _, point := range unmounts(mounts, fuse) {
		err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
		if err != nil && fuse {
			err = errors.Join(err, unix.Unmount(point, unix.MNT_FORCE|unix.MNT_DETACH))
		}
		if errors.Is(err, unix.EINVAL) || !fuse && errors.Is(err, unix.EBUSY) {
			continue // it went along with another; in use, so readOnly sees to it
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

func readOnly() error {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	var errs []error
	for _, point := range writable(mounts) {
		if err := unix.Mount("", point, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}
