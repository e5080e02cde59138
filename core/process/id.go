package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrNotRunning is wrapped when a process is gone, or its pid belongs to
// another one by now.
var ErrNotRunning = errors.New("is not running")

// ID is what tells a process from every other that had or will have its pid.
type ID struct {
	PID   int
	Start uint64 // clock ticks since the machine started (proc_pid_stat(5), field 22)
}

// Identify returns the ID of a running process.
func Identify(pid int) (ID, error) {
	state, start, err := readStat(pid)
	if err != nil || state == 'Z' || state == 'X' {
		return ID{}, fmt.Errorf("process %d: %w", pid, errors.Join(ErrNotRunning, err))
	}
	return ID{pid, start}, nil
}

// Alive tells whether this very process runs. A zombie does not.
func (i ID) Alive() bool {
	now, err := Identify(i.PID)
	return err == nil && now == i
}

// readStat reads state and start time. The name (field 2) may hold anything,
// also spaces and brackets, so fields count from its last bracket.
func readStat(pid int) (state byte, start uint64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: has %d fields, want 20 or more", pid, len(fields))
	}
	_, err = fmt.Sscan(fields[19], &start)
	return fields[0][0], start, err
}

// open returns a handle on the process that stays on it even when its pid is
// used again (pidfd_open(2), Linux 5.3).
func (i ID) open() (*os.File, error) {
	f, err := pidfd(i.PID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if !i.Alive() { // asked after opening: from here on it cannot change
		f.Close()
		return nil, fmt.Errorf("process %d: %w", i.PID, ErrNotRunning)
	}
	return f, nil
}

// Wait returns when the process has ended. It takes a thread meanwhile.
func (i ID) Wait() {
	fd, err := i.open()
	if err != nil {
		return
	}
	defer fd.Close()
	waitExit(fd)
}

// writePID needs no disk: who reads it after a power cut finds no process. But
// there is never half of it.
func writePID(path string, id ID) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, fmt.Appendf(nil, "%d %d\n", id.PID, id.Start), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func readPID(path string) (ID, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ID{}, err
	}
	var id ID
	if _, err := fmt.Sscanf(string(raw), "%d %d\n", &id.PID, &id.Start); err != nil || id.PID <= 1 {
		return ID{}, fmt.Errorf("%s: %q is not a pid and a start time", path, raw)
	}
	return id, nil
}
