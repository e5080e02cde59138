package unlock

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/unlock/tpm"
	chips "github.com/g8os/g8os/core/unlock/tpm/memory"
)

var (
	graceTerms = api.Grace{ForMS: (24 * time.Hour).Milliseconds(), Boots: 2}
	noon       = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
)

// granted is a node in memory that was up and has a grace, with a TPM or without.
func granted(t *testing.T, seed byte, withChip bool) *simulated {
	t.Helper()
	s := simulate(seed)
	if withChip {
		s.chip = chips.New(seed)
	}
	must(t, s.boot(t, 1000))
	must(t, s.grant(t, graceTerms, noon, 1000))
	return s
}

// grant has a node that is up make a grace, and cuts the power before the n-th
// change of its disk, or after it.
func (s *simulated) grant(t *testing.T, terms api.Grace, now time.Time, n int) error {
	t.Helper()
	defer s.off()
	v, err := Open(s.options())
	must(t, err)
	if _, err := v.Run(t.Context(), s.ac, claim); err != nil {
		return err
	}
	s.disk.Before = func(string, string) error {
		if n--; n < 0 {
			return errCut
		}
		return nil
	}
	defer func() { s.disk.Before = nil }()
	return v.Grant(t.Context(), s.ac, claim, terms, now)
}

// alone boots a node while no AC is there.
func (s *simulated) alone(t *testing.T, now time.Time) error {
	t.Helper()
	defer s.off()
	v, err := Open(s.options())
	must(t, err)
	_, _, err = v.RunGrace(t.Context(), now)
	if err == nil {
		if state, err := v.volume.State(); err != nil || state != "mounted" {
			t.Fatalf("the volume is %s, %v", state, err)
		}
	}
	return err
}

func wantRefused(t *testing.T, err error, why string) {
	t.Helper()
	if !errors.Is(err, ErrGrace) || !strings.Contains(err.Error(), why) {
		t.Fatalf("%v, want: %s", err, why)
	}
}

func TestGraceOpensSoOftenAndNotLonger(t *testing.T) {
	for _, chip := range []bool{false, true} {
		s := granted(t, 1, chip)
		for range graceTerms.Boots {
			must(t, s.alone(t, noon.Add(time.Hour)))
		}
		wantRefused(t, s.alone(t, noon.Add(time.Hour)), "used up")

		must(t, s.grant(t, graceTerms, noon.Add(2*time.Hour), 1000)) // an AC is there
		must(t, s.alone(t, noon.Add(3*time.Hour)))
		wantRefused(t, s.alone(t, noon.Add(27*time.Hour)), "over since")
		wantRefused(t, s.alone(t, noon.Add(3*time.Hour)), "over since") // the clock was set back
	}
}

// What is copied back onto the disk does not bring back what the TPM has counted:
// an old image, with the boots unused and the clock set to fit.
func TestAnOldImageDoesNotProlongAGraceThatATPMHolds(t *testing.T) {
	s := granted(t, 2, true)
	image, err := s.disk.ReadFile("/etc/g8os/grace")
	must(t, err)
	back := func() error {
		put := s.disk
		must(t, put.Remove("/etc/g8os/grace"))
		f, err := put.Create("/etc/g8os/grace", 0o600)
		must(t, err)
		_, err = f.Write(image)
		must(t, errors.Join(err, f.Sync(), f.Close(), put.SyncDir("/etc/g8os")))
		return s.alone(t, noon)
	}
	for range graceTerms.Boots {
		must(t, back())
	}
	wantRefused(t, back(), "the TPM says")

	s = granted(t, 3, true)
	s.chip.Run(25 * time.Hour)
	image, err = s.disk.ReadFile("/etc/g8os/grace")
	must(t, err)
	wantRefused(t, back(), "the TPM says")

	s = granted(t, 4, true)
	s.chip = chips.New(99) // in another machine, by who knows how to pass over the device key
	o := s.options()
	o.Recovery = true
	v, err := Open(o)
	must(t, err)
	_, _, err = v.RunGrace(t.Context(), noon)
	wantRefused(t, err, tpm.ErrOther.Error())
}

func TestAGraceThatIsDropped(t *testing.T) {
	s := granted(t, 5, true)
	v, err := Open(s.options())
	must(t, err)
	if was, err := v.DropGrace(); err != nil || !was {
		t.Fatal(was, err)
	}
	if was, err := v.DropGrace(); err != nil || was {
		t.Fatal(was, err)
	}
	wantRefused(t, s.alone(t, noon), "no grace")
	must(t, s.boot(t, 1000))
}

// A grace outlives the rotation of the AC's share: the password is the same.
func TestAGraceOutlivesARotation(t *testing.T) {
	s := granted(t, 6, true)
	must(t, s.rotate(t, 2, 1000, nil))
	must(t, s.alone(t, noon))
}

// Wherever the power goes while a grace is made anew or used, the node boots with
// the AC, and no boot is counted twice less.
func TestAPowerCutInAGrace(t *testing.T) {
	for n := 0; ; n++ {
		s := granted(t, 7, true)
		err := s.grant(t, graceTerms, noon.Add(time.Hour), n)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		must(t, s.boot(t, 1000))
		if err == nil {
			break
		}
	}
	s := granted(t, 8, false)
	opened := 0
	for range 10 { // its power is cut as soon as it is open
		if s.alone(t, noon) == nil {
			opened++
		}
	}
	if opened != graceTerms.Boots {
		t.Errorf("it opened %d times", opened)
	}
}

func TestADamagedGraceDoesNotCount(t *testing.T) {
	s := granted(t, 9, false)
	must(t, s.disk.Damage("/etc/g8os/grace", func(b []byte) []byte { return b[:len(b)/2] }))
	wantRefused(t, s.alone(t, noon), "no grace")
	must(t, s.boot(t, 1000))
	must(t, s.grant(t, graceTerms, noon, 1000))
	must(t, s.alone(t, noon))
}
