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
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Settings are a watchdog's numbers.
type Settings struct {
	Device  string        // where it is
	Timeout time.Duration // unfed for so long, it resets the machine; whole seconds
	Parts   int           // it is fed this often in that time
	Appear  time.Duration // how long to wait for its driver
	Look    time.Duration // how often meanwhile
}

// Default are the settings of a node. The time is long enough for a machine
// that is short of everything, and short enough to be worth having.
var Default = Settings{Device: "/dev/watchdog", Timeout: 30 * time.Second, Parts: 6, Appear: 15 * time.Second, Look: time.Second}

// Watchdog is the machine's watchdog.
type Watchdog struct {
	s      Settings
	pulses *Pulses
	log    *slog.Logger

	mu  sync.Mutex
	dev *os.File // nil: none, or disarmed
	off bool
}

// New prepares a watchdog and touches nothing.
func New(s Settings, pulses *Pulses, log *slog.Logger) *Watchdog {
	return &Watchdog{s: s, pulses: pulses, log: log}
}

// Run waits for the device, arms it, and feeds it until ctx ends. It stays
// armed then: who ends Run must Disarm, or be reset.
func (w *Watchdog) Run(ctx context.Context) {
	timeout, err := w.find(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.log.Info("no watchdog: a machine that hangs is not reset by itself", "error", err)
		}
		return
	}
	tick := time.NewTicker(timeout / time.Duration(w.s.Parts))
	defer tick.Stop()
	hungry := false
	for {
		names := w.pulses.stuck()
		switch {
		case len(names) == 0:
			w.Feed()
			hungry = false
		case !hungry:
			hungry = true
			w.log.Error("PID 1 has stopped in part; the watchdog will reset the machine", "stuck", strings.Join(names, ", "), "timeout", timeout)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// find waits for the driver, which may still be on its way.
func (w *Watchdog) find(ctx context.Context) (time.Duration, error) {
	look := time.NewTicker(w.s.Look)
	defer look.Stop()
	for waited := time.Duration(0); ; waited += w.s.Look {
		timeout, err := w.arm()
		if err == nil || waited >= w.s.Appear || !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return timeout, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-look.C:
		}
	}
}

// arm opens the device, which starts it, and returns the time it really has.
func (w *Watchdog) arm() (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off {
		return 0, errors.New("disarmed")
	}
	dev, err := os.OpenFile(w.s.Device, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	fd := int(dev.Fd())
	w.dev = dev
	_ = unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, int(w.s.Timeout/time.Second)) // some have one time only
	timeout := w.s.Timeout
	if seconds, err := unix.IoctlGetInt(fd, unix.WDIOC_GETTIMEOUT); err == nil && seconds > 0 {
		timeout = time.Duration(seconds) * time.Second
	}
	w.log.Info("watchdog armed", "device", w.s.Device, "driver", identity(fd), "timeout", timeout)
	if status, err := unix.IoctlGetInt(fd, unix.WDIOC_GETBOOTSTATUS); err == nil && status&unix.WDIOF_CARDRESET != 0 {
		w.log.Warn("the watchdog reset this machine: it hung")
	}
	return timeout, nil
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
	if w.dev == nil {
		return
	}
	if _, err := w.dev.Write([]byte{0}); err != nil { // the ioctl is optional for drivers, this is not
		w.log.Error("the watchdog does not take its food", "error", err)
	}
}

// Disarm stops the hardware ("magic close") and keeps it so.
func (w *Watchdog) Disarm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = true
	if w.dev == nil {
		return nil
	}
	_, err := w.dev.Write([]byte("V"))
	err = errors.Join(err, w.dev.Close())
	w.dev = nil
	if err != nil {
		return fmt.Errorf("disarm the watchdog: %w", err)
	}
	return nil
}
