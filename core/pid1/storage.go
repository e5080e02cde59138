package pid1

import (
	"slices"
	"sync"
	"time"

	"github.com/g8os/g8os/core/pid1/disks"
	"github.com/g8os/g8os/core/pid1/modules"
)

// storage is the picture of the machine's block devices. It looks at none
// before it is opened: a template has seen no disk. Each is read by a goroutine
// of its own: one that does not answer holds up itself.
type storage struct {
	m      *Machine
	blocks func() []string // names of the devices there are
	coming func() bool     // a card is no device yet
	probe  func(name string) disks.Found

	mu      sync.Mutex
	open    bool
	known   map[string]disks.Found
	reading map[string]int // which of the reads is that of a device
	reads   int
	last    time.Time     // a device came that is a disk or may have one, or a disk told what it holds
	changed chan struct{} // has one entry when something did
}

func newStorage(m *Machine) *storage {
	s := &storage{m: m, known: map[string]disks.Found{}, reading: map[string]int{}, changed: make(chan struct{}, 1)}
	s.blocks = func() []string { return disks.Blocks("/sys") }
	s.coming = func() bool { return disks.Coming("/sys") }
	s.probe = s.read
	return s
}

// carriers are what disks hang on: where one has come, a disk may follow.
var carriers = []string{"pci", "virtio", "scsi", "usb", "nvme", "mmc"}

// take hears of a block device that came, changed or went.
func (s *storage) take(ev modules.Event) {
	name := ev.Vars["DEVNAME"]
	if ev.Action == "add" && slices.Contains(carriers, ev.Vars["SUBSYSTEM"]) {
		s.mu.Lock()
		s.last = time.Now()
		s.mu.Unlock()
	}
	if ev.Vars["SUBSYSTEM"] != "block" || !disks.Wanted(name) {
		return
	}
	s.mu.Lock()
	s.last = time.Now()
	if ev.Action != "add" { // of what changed, the content is looked at anew
		delete(s.known, name)
		delete(s.reading, name)
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

// look returns the devices whose content is known, and begins to read those
// that are new. Who waits for changed sees them too.
func (s *storage) look() []disks.Found {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		s.open, s.last = true, time.Now()
	}
	var all []disks.Found
	for _, name := range s.blocks() {
		if f, ok := s.known[name]; ok {
			all = append(all, f)
		} else if s.reading[name] == 0 {
			s.begin(name)
		}
	}
	return all
}

// begin reads a device. What is read of one that changed meanwhile does not
// count. The lock is held.
func (s *storage) begin(name string) {
	s.reads++
	this := s.reads
	s.reading[name] = this
	go s.m.guarded(func() {
		f := s.probe(name)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.reading[name] != this {
			return
		}
		delete(s.reading, name)
		s.known[name], s.last = f, time.Now()
		s.wake()
	})
}

func (s *storage) read(name string) disks.Found {
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
		Near: near, Busy: busy, Coming: s.coming(), Read: len(s.reading) > 0, NoDisk: s.m.Args.NoState,
	}
}
