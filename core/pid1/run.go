package pid1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/pid1/disks"
	"github.com/g8os/g8os/core/pid1/keep"
	"github.com/g8os/g8os/core/pid1/layers"
	"github.com/g8os/g8os/core/pid1/modules"
	"github.com/g8os/g8os/core/pid1/reap"
	"github.com/g8os/g8os/core/pid1/state"
)

// A task is something that PID 1 does for ever, side by side with the others.
type task struct {
	name string
	run  func(m *Machine, ctx context.Context)
}

var reaping = task{"reap", func(m *Machine, ctx context.Context) { reap.Run(ctx, m.Log) }}

// early are begun when stage 1 is done, also in a template that is held: nothing
// of the node, and nothing random, may be in them.
var early = []task{
	reaping,
	{"drivers", (*Machine).drivers},
	{"devices", (*Machine).devices},
	{"guest channel", (*Machine).serveGuest},
	{"power", (*Machine).listen},
}

// soon are begun at "go", before the disks are there.
var soon = []task{
	{"console", (*Machine).show},
	{"watchdog", (*Machine).watch},
}

// late are begun when the machine is this node: its disk is there, or is not
// going to be.
var late = []task{
	{"core", (*Machine).keepCore},
	{"boot log", (*Machine).keepLog},
	{"buttons", (*Machine).buttons},
	{"services", (*Machine).serve},
	{"firmware", (*Machine).firmware},
	{"disks", (*Machine).watchDisks},
	{"tools", (*Machine).watchTools},
}

func (m *Machine) start(ctx context.Context, tasks []task) {
	for _, t := range tasks {
		go m.guarded(func() { t.run(m, ctx) })
	}
}

// drivers loads modules for the devices that are there, and those that come.
func (m *Machine) drivers(ctx context.Context) {
	if m.hardware == nil {
		return
	}
	m.hardware.Run(ctx)
}

// loading tells whether drivers are being loaded, the most wanted and those of
// any disk.
func (m *Machine) loading() (first, soon bool) {
	if m.hardware == nil {
		return false, false
	}
	return m.hardware.Busy(modules.First), m.hardware.Busy(modules.Soon)
}

// release has the rest of the drivers loaded, and what no device announces.
func (m *Machine) release() {
	if m.hardware != nil {
		m.hardware.Release(unannounced...)
	}
}

// firmware shows the variables of an EFI machine.
func (m *Machine) firmware(context.Context) {
	if _, err := os.Stat(efiVars); err != nil {
		return
	}
	m.load("efivarfs") // no device announces it
	m.say("mount", mountAll("/", []mount{{"efivarfs", efiVars, plain, "", ""}}))
}

// devices hands out what the kernel tells of devices.
func (m *Machine) devices(context.Context) {
	for m.events != nil {
		ev, err := m.events.Next()
		switch {
		case errors.Is(err, modules.ErrLost):
			m.Log.Warn("devices: looking at all of them again", "error", err)
			if m.hardware != nil {
				m.hardware.Scan()
			}
			m.storage.wake()
			continue
		case err != nil:
			m.notice("devices that come later are not seen", err)
			return
		}
		if m.hardware != nil {
			m.hardware.Take(ev)
		}
		m.storage.take(ev)
	}
}

// The daemon's log on disk: this much twice.
const (
	coreLog    = "/var/log/g8os/core.log"
	coreLogMax = 4 << 20
)

// keepCore keeps g8os_core running.
func (m *Machine) keepCore(ctx context.Context) {
	defer close(m.with.coreGone)
	log := keep.NewLog(coreLog, coreLogMax, m.heard)
	defer log.Close() // else its disk could not be unmounted
	p := keep.Program{
		Name: "g8os_core",
		Argv: []string{layers.Core, "run"},
		Env:  []string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8"},
		Out:  log,
		Began: func(p *os.Process) {
			m.mark("g8os_core run")
			m.setCore(p, "")
			m.release()
		},
		Ended: func(why string, in time.Duration) { m.setCore(nil, coreGone(why, in)) },
		Grace: 5 * time.Second,
		Log:   m.Log,
	}
	p.Run(m.untilEnd(ctx))
}

// coreGone is what the first screen says meanwhile.
func coreGone(why string, in time.Duration) string {
	when := "at once"
	if in > 0 {
		when = "in " + in.String()
	}
	return fmt.Sprintf("is not running (%s), is started again %s", why, when)
}

func (m *Machine) setCore(p *os.Process, why string) {
	m.mu.Lock()
	m.core, m.facts.Core = p, why
	m.mu.Unlock()
	m.with.console.Changed()
}

// reload has g8os_core read its configuration again.
func (m *Machine) reload() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core != nil {
		_ = m.core.Signal(syscall.SIGHUP) // if it is gone, the next one reads it anyway
	}
}

// watchDisks uses what comes after boot: a boot medium, a tools layer. A state
// disk that comes now is for the next boot.
func (m *Machine) watchDisks(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.storage.changed:
		}
		found := m.storage.look()
		if m.useMedium(found) {
			m.reload()
		}
		m.useTools(m.genuine(found))
	}
}

// genuine leaves out the tools layers that are not this image's. At boot they
// come with the system itself; to a node that runs anybody may plug a disk, and
// who made it would be root on it.
func (m *Machine) genuine(found []disks.Found) []disks.Found {
	if m.Args.NoTools || m.Facts().Tools != "" {
		return nil
	}
	m.tools.mu.Lock()
	defer m.tools.mu.Unlock()
	return slices.DeleteFunc(found, func(f disks.Found) bool {
		if f.Content.Kind != disks.Squashfs {
			return true
		}
		err := layers.Genuine(m.Facts().Image, disks.Path(f.Name))
		if err != nil {
			m.tools.warn(m.Log, f.Name, err)
		}
		return err != nil
	})
}

// watchTools mounts a tools layer that is fetched while the node runs.
func (m *Machine) watchTools(ctx context.Context) {
	if m.Args.NoTools || m.Facts().State == "" {
		return
	}
	err := layers.Watch(ctx, state.ToolsDir, func() bool { return !m.useTools(nil) && m.Facts().Tools == "" })
	if err != nil {
		m.Log.Warn("a tools layer that is fetched is mounted at the next boot", "error", err)
	}
}
