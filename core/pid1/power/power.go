// Package power ends a machine in order: power off, reboot or halt.
//
// Plan says what is done, in which order and how long each step may take; End
// does it. It promises that a step that fails or hangs is told of and passed
// over, so that the machine always gets there; that file systems on disks are
// unmounted, or read-only when somebody will not let go; and that the boot
// log's last line says how the boot ended. After a panic of PID 1 (Panic) the
// machine waits visibly for as long as a person needs to read it, and reboots.
package power

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kind is how a machine ends.
type Kind string

// The ways to end.
const (
	PowerOff Kind = "power off"
	Reboot   Kind = "reboot"
	Halt     Kind = "halt"
)

// Signals are what PID 1 understands, as busybox's init has it, so that its
// poweroff, reboot and halt do what they say. INT is Ctrl-Alt-Del, PWR a failing
// power supply.
var Signals = map[os.Signal]Kind{
	syscall.SIGUSR2: PowerOff,
	syscall.SIGPWR:  PowerOff,
	syscall.SIGTERM: Reboot,
	syscall.SIGINT:  Reboot,
	syscall.SIGUSR1: Halt,
}

// signals are the ones sent by Ask.
var signals = map[Kind]syscall.Signal{PowerOff: syscall.SIGUSR2, Reboot: syscall.SIGTERM, Halt: syscall.SIGUSR1}

// CtrlAltDel has the kernel send INT to PID 1 instead of rebooting at once.
func CtrlAltDel() error {
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		return fmt.Errorf("take over Ctrl-Alt-Del: %w", err)
	}
	return nil
}

// installed is g8os_core as the image or the package has it. Under our PID 1
// that is the program of PID 1 itself (core/pid1/layers).
const installed = "/usr/bin/g8os_core"

// Ours says whether PID 1 of this machine is g8os_core. This process may be
// another version of it.
func Ours() bool {
	init, err := os.Stat("/proc/1/exe")
	if err != nil {
		return false
	}
	for _, path := range []string{"/proc/self/exe", installed} {
		if st, err := os.Stat(path); err == nil && os.SameFile(init, st) {
			return true
		}
	}
	return false
}

// Ask has PID 1 end the machine. It refuses when PID 1 is another program,
// for which the signal means something else.
func Ask(kind Kind) error {
	if !Ours() {
		name, _ := os.Readlink("/proc/1/exe")
		return fmt.Errorf("%s: PID 1 of this machine is %s and not g8os_core: use its own command, such as systemctl", kind, name)
	}
	if err := syscall.Kill(1, signals[kind]); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

// Hooks are what the caller brings to the end of a machine; nil ones are left
// out.
type Hooks struct {
	Services func(context.Context) error // stop what runs of the tools layer
	Daemon   func(context.Context) error // stop g8os_core, for good
	Log      func(context.Context) error // end the boot log: its disk goes next
	Disarm   func() error                // the watchdog
	Beat     func()                      // one step further
	Say      *slog.Logger
}

// End brings the machine down. It returns only if the kernel refuses.
func End(kind Kind, why string, h Hooks) error {
	h.Say.Warn("this machine goes down", "how", string(kind), "why", why)
	m := &machine{hooks: h, kind: kind}
	perform(Plan(), m.do, h)
	return m.stop()
}

// perform does one step after the other. One that takes too long goes on
// behind our back: the machine goes down with it.
func perform(plan []Step, do func(context.Context, Action) error, h Hooks) {
	for _, s := range plan {
		ctx, cancel := context.WithTimeout(context.Background(), s.Limit)
		done := make(chan error, 1)
		go func() { done <- do(ctx, s.Action) }()
		limit := time.NewTimer(s.Limit + overtime)
		select {
		case err := <-done:
			if err != nil {
				h.Say.Warn("could not "+string(s.Action), "error", err)
			}
		case <-limit.C:
			h.Say.Error("took too long and is left behind", "step", string(s.Action), "limit", s.Limit)
		}
		limit.Stop()
		cancel()
		if h.Beat != nil {
			h.Beat()
		}
	}
}
