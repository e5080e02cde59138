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
	s.blocks, s.probe = func() []string { return names }, probe
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
