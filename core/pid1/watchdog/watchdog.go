// Package watchdog has the hardware reset the machine when PID 1 no longer
// turns.
//
// It promises that the watchdog is fed only while every loop that is expected
// to turn does (Pulses), that a loop that has stopped is named before the reset
// comes, and that an ordered end disarms the hardware. A machine without a
// watchdog is told of once, and runs all the same. It does not watch
// g8os_core: PID 1 starts that again by itself.
package watchdog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Settings are the numbers of the watchdogs.
type Settings struct {
	Devices string        // where they are: a pattern
	Timeout time.Duration // unfed for so long, they reset the machine; whole seconds
	Feed    time.Duration // how often they are fed, and new ones looked for; some have less than Timeout
	Appear  time.Duration // when to say that there is none: drivers take their time
}

// Default are the settings of a node. The time is long enough for a machine
// that is short of everything, and short enough to be worth having.
var Default = Settings{Devices: "/dev/watchdog[0-9]*", Timeout: 30 * time.Second, Feed: 5 * time.Second, Appear: 2 * time.Minute}

// Watchdog is the machine's watchdogs: one that cannot reset it (a strap on the
// board, a hypervisor) must not stand in for one that can.
type Watchdog struct {
	s      Settings
	pulses *Pulses
	log    *slog.Logger

	mu   sync.Mutex
	devs map[string]*os.File // nil for one that cannot be used
	off  bool
}

// New prepares the watchdogs and touches nothing.
func New(s Settings, pulses *Pulses, log *slog.Logger) *Watchdog {
	return &Watchdog{s: s, pulses: pulses, log: log, devs: map[string]*os.File{}}
}

// Run arms every watchdog that comes, and feeds them until ctx ends. They stay
// armed then: who ends Run must Disarm, or be reset.
func (w *Watchdog) Run(ctx context.Context) {
	tick := time.NewTicker(w.s.Feed)
	defer tick.Stop()
	said, hungry := false, false
	for waited := time.Duration(0); ; waited += w.s.Feed {
		if n := w.arm(); n == 0 && !said && waited >= w.s.Appear {
			said = true
			w.log.Info("no watchdog: a machine that hangs is not reset by itself", "looked_for", w.s.Devices)
		}
		names := w.pulses.stuck()
		switch {
		case len(names) == 0:
			w.Feed()
			hungry = false
		case !hungry:
			hungry = true
			w.log.Error("PID 1 has stopped in part: a watchdog, where there is one, resets the machine", "stuck", strings.Join(names, ", "), "timeout", w.s.Timeout)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// arm opens the devices that are new, which starts them, and returns how many
// there are.
func (w *Watchdog) arm() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found, _ := filepath.Glob(w.s.Devices)
	for _, path := range found {
		if _, known := w.devs[path]; known || w.off {
			continue
		}
		dev, err := os.OpenFile(path, os.O_WRONLY, 0)
		w.devs[path] = dev
		if err != nil {
			w.devs[path] = nil
			w.log.Warn("a watchdog cannot be used", "error", err)
			continue
		}
		w.set(dev)
	}
	for _, dev := range w.devs {
		if dev != nil {
			n++
		}
	}
	return n
}

func (w *Watchdog) set(dev *os.File) {
	fd := int(dev.Fd())
	_ = unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, int(w.s.Timeout/time.Second)) // some have one time only
	timeout := w.s.Timeout
	if seconds, err := unix.IoctlGetInt(fd, unix.WDIOC_GETTIMEOUT); err == nil && seconds > 0 {
		timeout = time.Duration(seconds) * time.Second
	}
	w.log.Info("watchdog armed", "device", dev.Name(), "driver", identity(fd), "timeout", timeout)
	if timeout < 2*w.s.Feed {
		w.log.Warn("this watchdog has little time", "device", dev.Name(), "timeout", timeout, "fed_every", w.s.Feed)
	}
	if status, err := unix.IoctlGetInt(fd, unix.WDIOC_GETBOOTSTATUS); err == nil && status&unix.WDIOF_CARDRESET != 0 {
		w.log.Warn("the watchdog reset this machine: it hung")
	}
}

func identity(fd int) string {
	info, err := unix.IoctlGetWatchdogInfo(fd)
	if err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(info.Identity[:])
}

// Feed gives the machine another Timeout, whatever its loops do.
func (w *Watchdog) Feed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, dev := range w.devs {
		if dev == nil {
			continue
		}
		if _, err := dev.Write([]byte{0}); err != nil { // the ioctl is optional for drivers, this is not
			w.log.Error("a watchdog does not take its food", "device", path, "error", err)
		}
	}
}

// Disarm stops the hardware ("magic close") and keeps it so.
func (w *Watchdog) Disarm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = true
	var errs []error
	for path, dev := range w.devs {
		if dev == nil {
			continue
		}
		_, err := dev.Write([]byte("V"))
		if err = errors.Join(err, dev.Close()); err != nil {
			errs = append(errs, fmt.Errorf("disarm the watchdog: %w", err))
		}
		w.devs[path] = nil
	}
	return errors.Join(errs...)
}
