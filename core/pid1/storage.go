package pid1

import (
	"sync"
	"time"

	"github.com/g8os/g8os/core/pid1/disks"
	"github.com/g8os/g8os/core/pid1/modules"
)

// storage is the picture of the machine's block devices. It looks at none
// before it is opened: a template has seen no disk.
type storage struct {
	m *Machine

	mu      sync.Mutex
	open    bool
	known   map[string]disks.Found
	last    time.Time     // a device came
	changed chan struct{} // has one entry when something did
}

func newStorage(m *Machine) *storage {
	return &storage{m: m, known: map[string]disks.Found{}, changed: make(chan struct{}, 1)}
}

// take hears of a block device that came, changed or went.
func (s *storage) take(ev modules.Event) {
	if ev.Vars["SUBSYSTEM"] != "block" || !disks.Wanted(ev.Vars["DEVNAME"]) {
		return
	}
	s.mu.Lock()
	s.last = time.Now()
	if ev.Action != "add" {
		delete(s.known, ev.Vars["DEVNAME"]) // of what changed, the content is looked at anew
	}
	s.mu.Unlock()
	s.wake()
}

func (s *storage) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// look returns all devices, and looks at what those hold that it does not know.
func (s *storage) look() []disks.Found {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		s.open, s.last = true, time.Now()
	}
	var all []disks.Found
	for _, name := range disks.Blocks("/sys") {
		f, ok := s.known[name]
		if !ok {
			f = s.probe(name)
			s.known[name] = f
			s.last = time.Now()
		}
		all = append(all, f)
	}
	return all
}

func (s *storage) probe(name string) disks.Found {
	f, err := disks.ProbeDevice(name)
	if err != nil {
		s.m.Log.Warn("a disk cannot be read", "disk", name, "error", err)
		return disks.Found{Name: name}
	}
	s.m.Log.Info("disk", "disk", name, "holds", string(f.Content.Kind), "label", f.Content.Label)
	return f
}

// wait waits for the disks that boot needs, and returns what there is.
func (s *storage) wait() []disks.Found {
	rule := disks.DefaultWait(s.m.Args.Medium)
	began := time.Now()
	for told := false; ; told = true {
		all := s.look()
		seen := s.seen(all, time.Since(began))
		if rule.Done(seen) {
			return all
		}
		if !told {
			s.m.Log.Info("waiting for disks", "state_disk", seen.State, "boot_medium", seen.Medium)
		}
		timer := time.NewTimer(rule.Next(seen))
		select {
		case <-s.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (s *storage) seen(all []disks.Found, waited time.Duration) disks.Seen {
	_, state, _ := disks.Pick(all, disks.Ext4, disks.StateLabel)
	_, medium, _ := disks.Pick(all, disks.FAT, disks.MediumLabel)
	near, busy := s.m.loading()
	s.mu.Lock()
	defer s.mu.Unlock()
	return disks.Seen{
		Waited: waited, Quiet: min(waited, time.Since(s.last)), State: state, Medium: medium,
		Near: near, Busy: busy, NoDisk: s.m.Args.NoState,
	}
}
