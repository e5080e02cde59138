package unlock

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/keyslot"
)

// rotate powers the node on, unlocks it and has it rotate to a generation, and
// cuts the power before the n-th change of its disk, or after the end.
func (s *simulated) rotate(t *testing.T, generation uint32, n int, after func(string) error) error {
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
	o := s.options()
	o.After = after
	v, err := Open(o)
	if err != nil {
		return err
	}
	if _, err := v.Run(t.Context(), s.ac, claim); err != nil {
		return err
	}
	if state, err := v.volume.State(); err != nil || state != "mounted" {
		t.Fatalf("the volume is %s, %v", state, err)
	}
	return v.Rotate(t.Context(), s.ac, claim, generation)
}

func (s *simulated) generations(t *testing.T) []uint32 {
	t.Helper()
	slots, damage, err := keyslot.Load(s.disk, "/etc/g8os")
	must(t, errors.Join(damage, err))
	return slots.Generations()
}

func TestRotateAddsProvesAndRemoves(t *testing.T) {
	s := simulate(1)
	must(t, s.boot(t, 1000))
	var steps []string
	must(t, s.rotate(t, 2, 1000, func(step string) error {
		steps = append(steps, step)
		return nil
	}))
	if got := fmt.Sprint(steps[len(steps)-5:]); got != "[add prove confirm remove tell]" {
		t.Errorf("steps %v", steps)
	}
	if got := s.generations(t); !slices.Equal(got, []uint32{2}) || s.ac.alone != 2 {
		t.Errorf("the disk has generations %v, the AC was told %d", got, s.ac.alone)
	}
	s.ac.dropped = 1
	must(t, s.boot(t, 1000))
	steps = nil
	must(t, s.rotate(t, 2, 1000, func(step string) error { steps = append(steps, step); return nil }))
	if got := fmt.Sprint(steps[len(steps)-1:]); got != "[tell]" {
		t.Errorf("asked again: %v", steps)
	}
	must(t, s.rotate(t, 1, 1000, nil)) // an old request that comes late
	if got := s.generations(t); !slices.Equal(got, []uint32{2}) {
		t.Errorf("after an old request: %v", got)
	}
}

// Wherever the power goes, whatever of the unsynced the disk then spares, and
// whichever copy of the slots is spoilt, the next boot opens the volume with a
// share that the AC still has; asked again, the node ends the rotation.
func TestAPowerCutInARotationLeavesANodeThatBoots(t *testing.T) {
	cuts := 0
	for seed := range byte(3) {
		for spoilt := range 3 {
			for n := 0; ; n++ {
				s := simulate(seed)
				must(t, s.boot(t, 1000))
				err := s.rotate(t, 2, n, nil)
				if err != nil && !errors.Is(err, errCut) {
					t.Fatalf("seed %d, cut before change %d: %v", seed, n, err)
				}
				s.ac.dropped = s.ac.alone - min(s.ac.alone, 1) // as the real one does
				spoil(t, s, spoilt)
				if err := s.boot(t, 1000); err != nil {
					t.Fatalf("seed %d, cut before change %d, copy %d spoilt: the next boot: %v", seed, n, spoilt, err)
				}
				if err := s.rotate(t, 2, 1000, nil); err != nil {
					t.Fatalf("seed %d, cut before change %d, copy %d spoilt: asked again: %v", seed, n, spoilt, err)
				}
				if got := s.generations(t); !slices.Equal(got, []uint32{2}) || s.ac.alone != 2 {
					t.Fatalf("seed %d, cut before change %d: in the end %v, the AC was told %d", seed, n, got, s.ac.alone)
				}
				if err == nil {
					break
				}
				cuts++
			}
		}
	}
	if cuts < 3*3*10 {
		t.Errorf("%d cuts only", cuts)
	}
}

// spoil damages one copy of the slots; 0: none.
func spoil(t *testing.T, s *simulated, which int) {
	if which == 0 {
		return
	}
	path := "/etc/g8os/" + keyslot.Name + []string{"", durable.Previous}[which-1]
	if _, err := s.disk.ReadFile(path); err == nil {
		must(t, durable.Write(s.disk, path, []byte("{}"), 0o600))
	}
}

// An AC that goes away, or refuses, between any two steps changes nothing for
// the worse.
func TestAnOutageInARotationLeavesANodeThatBoots(t *testing.T) {
	for posts := range 12 {
		s := simulate(3)
		must(t, s.boot(t, 1000))
		s.ac.left = posts
		err := s.rotate(t, 2, 1000, nil)
		s.ac.left = -1
		must(t, s.boot(t, 1000))
		if err2 := s.rotate(t, 2, 1000, nil); err2 != nil {
			t.Errorf("AC away after %d requests (%v): then %v", posts, err, err2)
		}
	}
}

// A new share with which the slot does not open again is never confirmed, and
// the old slot stays.
func TestASlotThatDoesNotProveItselfIsNotUsed(t *testing.T) {
	s := simulate(4)
	must(t, s.boot(t, 1000))
	given := 0
	s.ac.share = func(g uint32) api.Secret {
		if g == 2 {
			given++
		}
		if g == 2 && given > 1 {
			return material("another one")
		}
		return material(fmt.Sprint("share ", g))
	}
	if err := s.rotate(t, 2, 1000, nil); !errors.Is(err, keyslot.ErrKey) {
		t.Fatal(err)
	}
	if got := s.generations(t); !slices.Equal(got, []uint32{1}) || slices.Contains(s.ac.confirmed, 2) {
		t.Errorf("the disk has %v, confirmed %v", got, s.ac.confirmed)
	}
}

func TestRotateToAShareThatTheACDoesNotHave(t *testing.T) {
	s := simulate(5)
	must(t, s.boot(t, 1000))
	before, err := s.disk.ReadFile("/etc/g8os/keyslots")
	must(t, err)
	s.ac.newest = 1
	if err := s.rotate(t, 2, 1000, nil); !errors.Is(err, ErrAnswer) {
		t.Fatal(err)
	}
	if after, err := s.disk.ReadFile("/etc/g8os/keyslots"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the slots have changed, %v", err)
	}
}
