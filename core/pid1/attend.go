package pid1

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/core/bootlog"
	"github.com/g8os/g8os/core/console"
	"github.com/g8os/g8os/core/console/screen"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/pid1/power"
	"github.com/g8os/g8os/core/pid1/services"
	"github.com/g8os/g8os/core/pid1/watchdog"
	"github.com/g8os/g8os/core/version"
)

// attendants are those who show the machine, keep what it says, and see it to
// its end.
type attendants struct {
	log      *bootlog.Log
	daemon   io.Writer // its lines of g8os_core
	console  *console.Console
	services *services.Group
	pulses   *watchdog.Pulses
	dog      *watchdog.Watchdog
	panic    *power.Panic
	core     chan struct{} // closed when g8os_core is not to run any more
	coreGone chan struct{} // closed when it does not
	ending   atomic.Bool
}

// attend prepares them; it touches nothing, so a template may have done it.
func (m *Machine) attend() {
	a := &attendants{core: make(chan struct{}), coreGone: make(chan struct{}), pulses: watchdog.NewPulses(uptime)}
	a.log = bootlog.New(uptime, m.Log)
	a.daemon = a.log.Writer("core: ")
	a.console = console.New(console.Options{Facts: m.screenFacts, Log: m.Log})
	a.services = services.New(services.Options{RunDir: "/run/g8os/services", LogDir: bootlog.Dir, Changed: a.console.Changed, Ready: m.serviceReady, Log: m.Log})
	a.dog = watchdog.New(watchdog.Default, a.pulses, m.Log)
	a.panic = &power.Panic{Wait: m.Args.Panic, Feed: a.dog.Feed, Say: m.Log, Log: func(ctx context.Context) error { return a.log.End(ctx, "panic of PID 1") }}
	m.with = a
}

// screenFacts are for the first screen.
func (m *Machine) screenFacts() screen.Facts {
	f := m.Facts()
	s := screen.Facts{Hostname: f.Hostname, Version: f.Image.Version, Notices: f.Notices, Daemon: f.Core, Tools: f.Tools, Logs: "g8os_core log; " + bootlog.Dir}
	if s.Version == "" {
		s.Version = version.Version()
	}
	if f.State != "" {
		s.State = "/dev/" + f.State + " on /state"
	}
	if status := m.with.services.Status(); status != "" {
		s.Tools += "; " + status
	}
	return s
}

func (m *Machine) show(ctx context.Context) { m.with.console.Run(ctx) }

// watch feeds the watchdog while PID 1 turns.
func (m *Machine) watch(ctx context.Context) {
	if m.Args.NoWatchdog {
		m.Log.Info("the watchdog is left alone (g8os.watchdog=off)")
		return
	}
	m.with.dog.Run(ctx)
}

// How often PID 1 proves that it turns, and how late it may be.
const (
	turn     = 5 * time.Second
	turnLate = 30 * time.Second
	stepLate = 60 * time.Second // of the machine's end: longer than any step of it
)

// listen waits for the signals that end the machine. Its turns are what the
// watchdog lives on: they need the scheduler, and the lock all others share.
func (m *Machine) listen(ctx context.Context) {
	if err := power.CtrlAltDel(); err != nil {
		m.Log.Warn("power", "error", err)
	}
	beat := m.with.pulses.Expect("main loop", turnLate)
	tick := time.NewTicker(turn)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-m.signals:
			if kind, ok := power.Signals[s]; ok {
				go m.guarded(func() { m.end(kind, "signal: "+s.String()) })
			}
		case <-tick.C:
			_ = m.Facts()
			beat()
		}
	}
}

// buttons ends the machine when its power button is pressed.
func (m *Machine) buttons(ctx context.Context) {
	m.load("button", "evdev") // the machine's own; they must not wait for all other drivers
	power.NewButtons().Run(ctx, func() { go m.guarded(func() { m.end(power.PowerOff, "power button") }) })
}

// end brings the machine down, once.
func (m *Machine) end(kind power.Kind, why string) {
	if m.with.ending.Swap(true) {
		m.Log.Info("the machine goes down already", "asked", string(kind), "why", why)
		return
	}
	a := m.with
	m.set(func(f *Facts) { f.Core = "is being stopped: " + string(kind) + " (" + why + ")" })
	a.console.Changed()
	err := power.End(kind, why, power.Hooks{
		Services: m.stopServices, Daemon: m.stopCore, Disarm: a.dog.Disarm, Say: m.Log,
		Log:  func(ctx context.Context) error { return a.log.End(ctx, string(kind)+" ("+why+")") },
		Beat: a.pulses.Only("the end of the machine", stepLate),
	})
	m.Log.Error("the machine stays up, with nothing running: switch it off by hand", "error", err)
}

// jobsLimit is how long g8os_core may take to end what it runs: what is left of
// the step's limit is for the tools layer.
const jobsLimit = 22 * time.Second

// stopServices has g8os_core end jobs and services, and then ends those of the
// tools layer that they may need.
func (m *Machine) stopServices(ctx context.Context) error {
	first, cancel := context.WithTimeout(ctx, jobsLimit)
	defer cancel()
	if err := (local.Client{Path: local.Socket}).Shutdown(first); err != nil {
		m.Log.Warn("jobs and services that g8os_core runs end with all others", "error", err)
	}
	return m.with.services.Stop(ctx)
}

func (m *Machine) stopCore(ctx context.Context) error {
	close(m.with.core)
	select {
	case <-m.with.coreGone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// untilEnd is ctx, but ends when the machine does.
func (m *Machine) untilEnd(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() { <-m.with.core; cancel() }()
	return ctx
}

// keepLog keeps the boot log, and tells how the last boot ended.
func (m *Machine) keepLog(ctx context.Context) {
	go m.guarded(func() { m.with.log.Run(ctx) })
	about := m.Facts().Image
	last, err := m.with.log.Attach(ctx, bootlog.Dir, fmt.Sprintf("G8OS %s, image %s, kernel %s; the clock says %s",
		version.Version(), about.ID, about.Kernel, time.Now().UTC().Format(time.RFC3339)))
	m.say("boot log", err)
	notice := m.collectCrashes()
	if notice == "" {
		notice = last.Notice()
	}
	if notice != "" {
		m.notice(notice, nil)
	}
	if err := m.with.log.Follow(ctx); err != nil {
		m.notice("boot log", err)
	}
}

// collectCrashes saves what the firmware kept of a crash, and says how the last
// boot ended.
func (m *Machine) collectCrashes() (notice string) {
	if _, err := os.Stat("/sys/firmware/efi"); err == nil {
		m.load("efi_pstore") // no device announces it
	}
	crashes, err := bootlog.Collect(bootlog.PstoreDir, bootlog.CrashDir)
	m.say("crash records", err)
	return bootlog.CrashNotice(crashes)
}

// serve runs the services of the tools layer, once it is there.
func (m *Machine) serve(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-m.toolsUp:
		if !m.with.ending.Load() {
			m.with.services.Run(ctx, services.Tools())
		}
	}
}

// serviceReady has g8os_core make what it could not before: net.toml may want
// bridges of an Open vSwitch that comes with the tools layer, after it.
func (m *Machine) serviceReady(name string) {
	if name == "ovs-vswitchd" {
		m.reload()
	}
}

// guarded has a panic reported and the machine rebooted, readably: without it
// the kernel would do the latter at once.
func (m *Machine) guarded(f func()) {
	defer m.with.panic.Guard()
	f()
}
