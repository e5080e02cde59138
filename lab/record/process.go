package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process names one process for good: a pid alone is handed out again, a pid
// with its start time is not, within one boot.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot (proc(5), stat field 22)
	Boot  string `json:"boot"`  // the kernel's boot id
}

// ProcessOf writes down a process that is known to be alive.
func ProcessOf(pid int) (Process, error) {
	start, _, err := stat(pid)
	if err != nil {
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Process{PID: pid, Start: start, Boot: bootID()}, nil
}

// Alive reports whether that very process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 || p.Boot != bootID() {
		return false
	}
	start, state, err := stat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// Kill ends the process with SIGKILL and waits until it is gone; for the init
// of a PID namespace that means every process in it. A process that is gone
// already is no error, and another one that got its number is not touched.
func (p Process) Kill(ctx context.Context) error {
	fd, err := p.kill()
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	return p.gone(ctx, fd)
}

// KillAll kills them all first and then waits for them all.
func KillAll(ctx context.Context, all []Process) error {
	fds := make([]int, len(all))
	var failed []error
	for i, p := range all {
		fd, err := p.kill()
		fds[i] = fd
		failed = append(failed, err)
	}
	for i, fd := range fds {
		if fd < 0 {
			continue
		}
		failed = append(failed, all[i].gone(ctx, fd))
		_ = unix.Close(fd)
	}
	return errors.Join(failed...)
}

// kill returns a pidfd of the dying process, or -1 if there is none. The
// start time is compared while the pidfd is held: from then on the number
// cannot come to mean another process.
func (p Process) kill() (int, error) {
	if p.PID <= 1 {
		return -1, nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("process %d: %w", p.PID, err)
	}
	if !p.Alive() {
		_ = unix.Close(fd)
		return -1, nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return fd, nil
}

// gone waits on a pidfd, which becomes readable when the process has ended.
func (p Process) gone(ctx context.Context, fd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 50)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("process %d does not die: %w", p.PID, ctx.Err())
		}
	}
}

// StateAt is the state that a stat file of a process shows (proc(5)): R, S, T
// for one that was stopped, … The file may be of another /proc.
func StateAt(path string) (byte, error) {
	_, state, err := statAt(path)
	return state, err
}

func stat(pid int) (start uint64, state byte, err error) {
	return statAt(fmt.Sprintf("/proc/%d/stat", pid))
}

// statAt reads start time and state. The command name, in parentheses, may
// contain anything, so fields are counted from the last one.
func statAt(path string) (start uint64, state byte, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	end := strings.LastIndexByte(string(text), ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 20 {
		return 0, 0, fmt.Errorf("%s: cannot be read: %q", path, text)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0][0], err
}

func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
