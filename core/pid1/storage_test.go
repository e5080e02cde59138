package pid1

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/g8os/g8os/core/pid1/disks"
	"github.com/g8os/g8os/core/pid1/modules"
	"github.com/g8os/g8os/core/pid1/power"
)

// bench is a storage with devices of the test's.
func bench(names []string, probe func(string) disks.Found) *storage {
	m := &Machine{Log: slog.New(slog.DiscardHandler), with: &attendants{panic: &power.Panic{}}}
	s := newStorage(m)
	s.blocks, s.probe, s.coming = func() []string { return names }, probe, func() bool { return false }
	return s
}

var stateDisk = disks.Content{Kind: disks.Ext4, Label: disks.StateLabel}

// A disk that does not answer holds up neither boot nor the events of others.
func TestADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := bench([]string{"sda", "sdb"}, func(name string) disks.Found {
			if name == "sda" {
				<-dead.Done()
			}
			return disks.Found{Name: name, Content: stateDisk}
		})
		began := time.Now()
		found := s.wait()
		if f, ok, _ := disks.Pick(found, disks.Ext4, disks.StateLabel); !ok || f.Name != "sdb" {
			t.Errorf("found %+v", found)
		}
		if took, limit := time.Since(began), disks.DefaultWait(false).Read; took > limit+time.Second {
			t.Errorf("after %s, want at most %s", took, limit)
		}
		s.take(modules.Event{Action: "change", Vars: map[string]string{"SUBSYSTEM": "block", "DEVNAME": "sdb"}})
	})
}

// A state disk that comes long after another one is waited for as long as there
// are signs of it: without it the node would take a new identity.
func TestADiskThatIsSlowToCome(t *testing.T) {
	for what, sign := range map[string]func(s *storage){
		"its card is no device yet": func(s *storage) { s.coming = func() bool { return len(s.blocks()) < 2 } },
		"its card came late": func(s *storage) {
			time.AfterFunc(800*time.Millisecond, func() {
				s.take(modules.Event{Action: "add", Vars: map[string]string{"SUBSYSTEM": "pci"}})
			})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			names := []string{"vda"}
			s := bench(nil, func(name string) disks.Found {
				if name == "vdb" {
					return disks.Found{Name: name, Content: stateDisk}
				}
				return disks.Found{Name: name}
			})
			s.blocks = func() []string { s.m.mu.Lock(); defer s.m.mu.Unlock(); return names }
			sign(s)
			time.AfterFunc(1500*time.Millisecond, func() {
				s.m.mu.Lock()
				names = append(names, "vdb")
				s.m.mu.Unlock()
				s.take(modules.Event{Action: "add", Vars: map[string]string{"SUBSYSTEM": "block", "DEVNAME": "vdb"}})
			})
			if _, ok, _ := disks.Pick(s.wait(), disks.Ext4, disks.StateLabel); !ok {
				t.Errorf("%s: it was not waited for", what)
			}
		})
	}
}

// What was read of a disk that has been exchanged since does not count.
func TestADiskThatIsExchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, reads := make(chan struct{}), 0
		s := bench([]string{"sda"}, func(name string) disks.Found {
			if reads++; reads == 1 {
				<-first
				return disks.Found{Name: name, Content: stateDisk}
			}
			return disks.Found{Name: name}
		})
		s.look()
		synctest.Wait()
		s.take(modules.Event{Action: "change", Vars: map[string]string{"SUBSYSTEM": "block", "DEVNAME": "sda"}})
		s.look()
		synctest.Wait()
		close(first)
		synctest.Wait()
		if all := s.look(); len(all) != 1 || all[0].Content != (disks.Content{}) || reads != 2 {
			t.Errorf("%+v after %d reads", all, reads)
		}
	})
}
