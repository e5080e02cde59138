// Package pid1 is the first process of a node: it makes a system out of a
// kernel and an initramfs, keeps g8os_core running in it, and never ends.
//
//	stage 1   kernel's file systems, base layer, root, devices     nothing of this node
//	hold      (g8os.hold) wait for "go" on the guest channel       a template is made here
//	stage 2   state disk, boot medium, name, tools layer           what this node is
//	run       g8os_core run, devices that come, services, console  for ever
//
// It promises that a step which fails says what and why in the kernel's log,
// and that boot goes on as far as it can; that nothing random and nothing of
// this node is read before "go"; and that orphans are reaped without touching
// its own children's exit status. It is not a supervisor for an operator's
// programs: g8os_core and the services of the tools layer are all it starts.
package pid1

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/pid1/cmdline"
	"github.com/g8os/g8os/core/pid1/kmsg"
	"github.com/g8os/g8os/core/pid1/layers"
	"github.com/g8os/g8os/core/pid1/modules"
)

// Is tells whether this process is the first of a machine: a container's first
// process is not called init.
func Is(pid int, argv0 string) bool { return pid == 1 && filepath.Base(argv0) == "init" }

// Path is where programs are.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Machine is the machine that PID 1 runs.
type Machine struct {
	Args cmdline.Args
	Log  *slog.Logger

	loader   *modules.Loader // nil: no modules are to be had
	hardware *modules.Hardware
	events   *modules.Events
	storage  *storage
	gate     *gate
	tools    tools
	with     *attendants

	mu      sync.Mutex
	facts   Facts
	core    *os.Process   // the g8os_core that runs now
	toolsUp chan struct{} // closed when the tools layer is mounted
	signals chan os.Signal
}

// Facts are what PID 1 knows about the machine, for those who show it.
type Facts struct {
	Hostname string
	Image    layers.About
	State    string // the state disk's device; "" while the node runs from memory
	Tools    string // where the tools layer came from; "" while there is none
	Held     bool   // stage 2 has not begun
	Notices  []string
	Core     string // why g8os_core does not run at this moment; "" while it does
}

// Main boots the machine and never returns.
func Main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, caught...) // a signal nobody takes must not end PID 1: the kernel would panic
	m := newMachine(slog.New(slog.DiscardHandler))
	m.signals = signals
	unix.Umask(0o022)
	m.stage1()
	m.gate = newGate(m.Args.Hold)
	m.attend()
	ctx := context.Background()
	m.guarded(func() {
		m.start(ctx, early)
		m.hold(ctx)
		m.start(ctx, soon)
		m.stage2(ctx)
		m.start(ctx, late)
	})
	select {}
}

func newMachine(log *slog.Logger) *Machine {
	m := &Machine{Log: log, toolsUp: make(chan struct{}), tools: tools{said: map[string]string{}}, facts: Facts{Held: true}}
	m.storage = newStorage(m)
	return m
}

// caught are the signals that would end a Go program, but for those of faults.
var caught = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGPWR, syscall.SIGPIPE,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGXCPU, syscall.SIGXFSZ,
}

// Facts returns what is known now.
func (m *Machine) Facts() Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.facts
	f.Notices = append([]string(nil), f.Notices...)
	return f
}

func (m *Machine) set(change func(*Facts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.facts)
}

// maxNotices bounds what is shown; the boot log has all.
const maxNotices = 8

// notice says something that whoever looks at the machine should know, in the
// log and on the first screen.
func (m *Machine) notice(msg string, err error, args ...any) {
	if err != nil {
		m.Log.Error(msg, append(args, "error", err)...)
		msg += ": " + err.Error()
	} else {
		m.Log.Warn(msg, args...)
	}
	m.set(func(f *Facts) {
		if len(f.Notices) < maxNotices {
			f.Notices = append(f.Notices, msg)
		}
	})
}

// ToolsUp is closed when the tools layer is part of /usr.
func (m *Machine) ToolsUp() <-chan struct{} { return m.toolsUp }

// Signals are those PID 1 gets; one reader.
func (m *Machine) Signals() <-chan os.Signal { return m.signals }

// mark notes in the kernel's log how far boot has come; the kernel adds when.
func (m *Machine) mark(what string) {
	m.Log.Debug("mark", "reached", what, "uptime", uptime())
}

func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano()).Round(time.Millisecond)
}

// openLog is called as soon as /dev and /proc are there.
func (m *Machine) openLog() {
	if log, err := kmsg.Open(); err == nil {
		m.Log = log
	} else {
		m.Log = slog.New(slog.NewTextHandler(os.Stderr, nil)) // the kernel gave PID 1 the console
		m.Log.Error("no kernel log to write to", "error", err)
	}
}
