package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/record"
)

// Refresh takes in what other processes have changed of the lab since this
// handle was made or refreshed: power, cuts, hosts, where cables lead. What the
// lab consists of does not change while it is up.
func (l *Lab) Refresh() error {
	var now state
	err := l.rec.Load(stateFile, &now)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lab %s: %w", l.Name(), ErrNoLab)
	}
	if err != nil {
		return err
	}
	events, err := l.rec.Journal()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.st.takeIn(now)
	for name, proc := range record.Machines(events) {
		if m := l.machines[name]; m == nil || m.Proc != proc {
			l.machines[name] = &machine.Machine{Name: name, Proc: proc, Control: l.machineDir(name) + "/control"}
		}
	}
	return nil
}

// Since is when the lab was brought up: the time of the first line of its
// journal.
func (l *Lab) Since() (time.Time, error) {
	events, err := l.rec.Journal()
	if err == nil && len(events) == 0 {
		err = fmt.Errorf("lab %s: its journal is empty", l.Name())
	}
	if err != nil {
		return time.Time{}, err
	}
	return events[0].Time, nil
}

// Note adds a line to the lab's journal; machine may be empty.
func (l *Lab) Note(kind, machine, note string) error {
	return l.rec.Note(record.Event{Time: now(), Kind: kind, Machine: machine, Note: note})
}

// Own makes Down end this process too: one that serves the lab from outside
// its machines.
func (l *Lab) Own(kind string) error {
	self, err := record.ProcessOf(os.Getpid())
	if err != nil {
		return err
	}
	return l.rec.Note(record.Event{Time: now(), Kind: kind, Proc: &self})
}

// Program is the path of one of the binaries the lab was brought up with.
func (l *Lab) Program(name string) (string, error) {
	path := filepath.Join(l.st.BinDir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s: %w; make build makes it, beside the other binaries of lab %s", path, err, l.Name())
	}
	return path, nil
}

// Job is a job of a machine as the kernel sees it.
type Job struct {
	Name  string
	PID   int  // as the machine counts
	State byte // of proc(5), stat: R, S, T (stopped), …; 0 when it does not run
	Argv  []string
	Since time.Time
}

// Running tells a process that runs and is not stopped.
func (p Job) Running() bool { return p.State != 0 && p.State != 'Z' && !p.Stopped() }

// Stopped tells one that SIGSTOP has frozen.
func (p Job) Stopped() bool { return p.State == 'T' || p.State == 't' }

// Job looks at the newest job of a name in a machine that has power. What
// runs inside a VM is no job of the lab's.
func (l *Lab) Job(ctx context.Context, name, job string) (Job, error) {
	p := Job{Name: job}
	m, err := l.machine(name)
	if err != nil {
		return p, err
	}
	st, ok, err := m.Job(ctx, job)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return p, nil // a machine that is about to be, or was just taken away, has none
	}
	if err != nil || !ok || !st.Running {
		return p, err
	}
	p.PID, p.Since = st.PID, st.Since
	own := fmt.Sprintf("/proc/%d/root/proc/%d/", m.Proc.PID, st.PID)
	argv, _ := os.ReadFile(own + "cmdline")
	p.Argv = strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00")
	p.State, err = record.StateAt(own + "stat")
	if errors.Is(err, os.ErrNotExist) {
		err = nil // it has ended since
	}
	return p, err
}

// Names of the jobs that Job knows.
const (
	CoreJob = coreJob // of a node that is no VM
	ACJob   = acJob
	DHCPJob = dhcpJob
)

// Init is the process that is a machine's power: it differs from one power cut
// to the next.
func (l *Lab) Init(name string) (record.Process, error) {
	m, err := l.machine(name)
	if err != nil {
		return record.Process{}, err
	}
	return m.Proc, nil
}
