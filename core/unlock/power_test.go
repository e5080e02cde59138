package unlock

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/g8os/g8os/core/durable/memory"
	chips "github.com/g8os/g8os/core/unlock/tpm/memory"
	volumes "github.com/g8os/g8os/core/unlock/volume/memory"
)

var errCut = errors.New("the power is gone")

// simulated is a node in memory: all that happens to it follows from its seed.
type simulated struct {
	disk  *memory.Disk
	chaos *rand.ChaCha8
	ac    *ac
	chip  *chips.TPM // nil: it has none
	key   string     // the fingerprint that the AC saw first
}

func simulate(seed byte) *simulated {
	disk := memory.New(rand.New(rand.NewPCG(uint64(seed), 0)).IntN)
	return &simulated{disk: disk, chaos: rand.NewChaCha8([32]byte{seed}), ac: newAC()}
}

// boot powers the node on and unlocks it, and cuts the power before the n-th
// change of its disk, or after the end when there are fewer.
func (s *simulated) boot(t *testing.T, n int) error {
	t.Helper()
	s.disk.Before = func(string, string) error {
		if n--; n < 0 {
			return errCut
		}
		return nil
	}
	defer func() {
		s.disk.Before = nil
		s.off()
	}()
	v, err := Open(s.options())
	if err != nil {
		return err
	}
	asked := len(s.ac.counters)
	_, err = v.Run(t.Context(), s.ac, claim)
	if len(s.ac.counters) > asked {
		s.sameKey(t, v.Device().Fingerprint())
	}
	return err
}

func (s *simulated) options() Options {
	o := Options{Dir: "/etc/g8os", Mount: "/mnt/etc", Log: slog.New(slog.DiscardHandler),
		Disk: s.disk, Volume: volumes.New(s.disk, "/etc/g8os/private", "/mnt/etc"), Rand: s.chaos}
	if s.chip != nil {
		o.TPM = s.chip
	}
	return o
}

// off cuts the power.
func (s *simulated) off() {
	s.disk.PowerCut()
	if s.chip != nil {
		s.chip.Boot()
	}
}

// sameKey: an operator who approved a key must not meet another one.
func (s *simulated) sameKey(t *testing.T, now string) {
	t.Helper()
	if s.key != "" && s.key != now {
		t.Errorf("the node has lost the key that the AC knows")
	}
	s.key = now
}

// Wherever the power goes, and whatever of the unsynced the disk then spares,
// the next boot opens the volume, with the same key and a higher counter.
func TestAPowerCutAnywhereLeavesANodeThatBoots(t *testing.T) {
	cuts := 0
	for seed := range byte(20) {
		for boots, n := 0, 0; boots < 2; n++ {
			s := simulate(seed)
			for range boots {
				must(t, s.boot(t, 1000))
			}
			err := s.boot(t, n)
			if err == nil {
				boots, n = boots+1, -1
				continue
			}
			cuts++
			if !errors.Is(err, errCut) {
				t.Fatalf("seed %d, boot %d, cut before change %d: %v", seed, boots+1, n, err)
			}
			if err := s.boot(t, 1000); err != nil {
				t.Fatalf("seed %d, boot %d, cut before change %d: the next boot: %v", seed, boots+1, n, err)
			}
			if !slices.IsSorted(s.ac.counters) || len(slices.Compact(slices.Clone(s.ac.counters))) != len(s.ac.counters) {
				t.Fatalf("seed %d, boot %d, cut before change %d: counters %v", seed, boots+1, n, s.ac.counters)
			}
		}
	}
	if cuts < 20*2*10 {
		t.Errorf("%d cuts only: a run changes the disk more often than that", cuts)
	}
}

func TestTheSameSeedMakesTheSameNode(t *testing.T) {
	node := func(seed byte) string {
		s := simulate(seed)
		must(t, s.boot(t, 1000))
		slots, err1 := s.disk.ReadFile("/etc/g8os/keyslots")
		conf, err2 := s.disk.ReadFile("/etc/g8os/private.conf")
		must(t, errors.Join(err1, err2))
		return fmt.Sprintf("%s %s %s", s.key, slots, conf)
	}
	one, again, other := node(1), node(1), node(2)
	if one != again {
		t.Error("one seed made two nodes")
	}
	if one == other {
		t.Error("two seeds made one node")
	}
}

func TestAfterEndsARunAfterAStep(t *testing.T) {
	stop := errors.New("enough")
	disk := memory.New(func(int) int { return 0 })
	var steps []string
	v, err := Open(Options{Dir: "/etc/g8os", Disk: disk, Volume: volumes.New(disk, "/etc/g8os/private", "/mnt/etc"),
		Log: slog.New(slog.DiscardHandler), After: func(step string) error {
			if steps = append(steps, step); step == string(stepInit) {
				return stop
			}
			return nil
		}})
	must(t, err)
	if _, err := v.Run(t.Context(), newAC(), claim); !errors.Is(err, stop) || fmt.Sprint(steps) != "[ask slots init]" {
		t.Errorf("%v after %v", err, steps)
	}
}

func BenchmarkFirstBoot(b *testing.B) {
	for b.Loop() {
		disk := memory.New(func(int) int { return 0 })
		v, err := Open(Options{Dir: "/etc/g8os", Disk: disk, Volume: volumes.New(disk, "/etc/g8os/private", "/mnt/etc"),
			Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Run(b.Context(), newAC(), claim); err != nil {
			b.Fatal(err)
		}
	}
}
