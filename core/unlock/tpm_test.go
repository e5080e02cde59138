package unlock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/g8os/g8os/core/internal/testenv"
	"github.com/g8os/g8os/core/unlock/device"
	"github.com/g8os/g8os/core/unlock/keyslot"
	chips "github.com/g8os/g8os/core/unlock/tpm/memory"
	"github.com/g8os/g8os/core/unlock/tpm/tpmtest"
)

// withTPM is a node in memory with a TPM, that was up once.
func withTPM(t *testing.T, seed byte) *simulated {
	t.Helper()
	s := simulate(seed)
	s.chip = chips.New(seed)
	must(t, s.boot(t, 1000))
	return s
}

// has says whether a file is there.
func (s *simulated) has(name string) bool {
	_, err := s.disk.Lstat("/etc/g8os/" + name)
	return !errors.Is(err, fs.ErrNotExist)
}

func (s *simulated) slots(t *testing.T) *keyslot.File {
	t.Helper()
	f, damage, err := keyslot.Load(s.disk, "/etc/g8os")
	must(t, errors.Join(damage, err))
	return f
}

func TestANodeWithATPMKeepsNoKeyInClear(t *testing.T) {
	s := withTPM(t, 1)
	if s.has(device.KeyFile) || !s.has(device.SealedFile) {
		t.Error("the device key lies on the disk")
	}
	if !s.slots(t).Bound() || keyslot.Unbound(s.disk, "/etc/g8os") {
		t.Error("a slot opens without the TPM")
	}
	for range 3 {
		must(t, s.boot(t, 1000))
	}
}

// The disk with every share that the AC has opens nothing: another TPM, none, or
// the same after it was cleared.
func TestTheDiskAndTheACAreNotEnough(t *testing.T) {
	for name, change := range map[string]func(*simulated){
		"another machine": func(s *simulated) { s.chip = chips.New(99) },
		"no TPM":          func(s *simulated) { s.chip = nil },
		"does not answer": func(s *simulated) { s.chip.Away = true },
		"cleared":         func(s *simulated) { s.chip.Clear() },
	} {
		s := withTPM(t, 2)
		_, err := s.slots(t).OpenUnlock(1, s.ac.share(1))
		if !errors.Is(err, keyslot.ErrTPM) {
			t.Fatal(err)
		}
		before := s.files(t)
		asked := len(s.ac.counters)
		change(s)
		err = s.boot(t, 1000)
		if !errors.Is(err, ErrOperator) || !errors.Is(err, device.ErrSealed) || !strings.Contains(err.Error(), "g8os_core recover") {
			t.Errorf("%s: %v", name, err)
		}
		if len(s.ac.counters) != asked {
			t.Errorf("%s: the AC was asked without the device key", name)
		}
		if after := s.files(t); before != after {
			t.Errorf("%s: the disk has changed: %s, before: %s", name, after, before)
		}
	}
}

// files tells what lies on the disk.
func (s *simulated) files(t *testing.T) string {
	t.Helper()
	entries, err := s.disk.ReadDir("/etc/g8os")
	must(t, err)
	var all strings.Builder
	for _, e := range entries {
		raw, _ := s.disk.ReadFile("/etc/g8os/" + e.Name())
		fmt.Fprintf(&all, "%s %x\n", e.Name(), raw)
	}
	return all.String()
}

// A TPM that was away for a while is no loss.
func TestATPMThatComesBack(t *testing.T) {
	s := withTPM(t, 3)
	s.chip.Away = true
	if err := s.boot(t, 1000); !errors.Is(err, device.ErrSealed) {
		t.Fatal(err)
	}
	s.chip.Away = false
	must(t, s.boot(t, 1000))
}

func (s *simulated) recover(t *testing.T, withoutTPM bool) (Result, error) {
	t.Helper()
	defer s.off()
	o := s.options()
	o.Recovery, o.WithoutTPM = true, withoutTPM
	v, err := Open(o)
	must(t, err)
	return v.RunRecovery(t.Context(), s.ac.recovery)
}

// The recovery key opens without the TPM, and gives what it kept to the one that
// is there now: the AC meets the same node.
func TestTheRecoveryKeyOutlivesTheTPM(t *testing.T) {
	s := withTPM(t, 4)
	s.chip.Clear()
	r, err := s.recover(t, false)
	if err != nil || r.TPM != TPMKeeps {
		t.Fatalf("%+v, %v", r, err)
	}
	must(t, s.boot(t, 1000)) // sameKey is in it
	if s.has(device.KeyFile) || !s.slots(t).Bound() {
		t.Error("something lies in clear")
	}
	must(t, s.rotate(t, 2, 1000, nil))
	must(t, s.boot(t, 1000))
}

func TestTheRecoveryKeyWithoutAnyTPM(t *testing.T) {
	s := withTPM(t, 5)
	s.chip = nil
	r, err := s.recover(t, false)
	if err != nil || r.TPM != TPMLost {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := s.boot(t, 1000); !errors.Is(err, device.ErrSealed) {
		t.Fatalf("what the TPM kept was put on the disk unasked: %v", err)
	}
	if r, err := s.recover(t, true); err != nil || r.TPM != TPMKeeps {
		t.Fatalf("%+v, %v", r, err)
	}
	must(t, s.boot(t, 1000))
	s.chip = chips.New(6) // and one that comes later keeps it again
	must(t, s.boot(t, 1000))
	if raw, err := s.disk.ReadFile("/etc/g8os/" + device.SealedFile); err != nil || bytes.Contains(raw, []byte("clear")) {
		t.Errorf("%s, %v", raw, err)
	}
	must(t, s.boot(t, 1000))
}

// A node that is older than its TPM moves to it, wherever the power goes.
func TestAPowerCutInTheMoveToATPMLeavesANodeThatBoots(t *testing.T) {
	cuts := 0
	for seed := range byte(3) {
		for n := 0; ; n++ {
			s := simulate(seed)
			must(t, s.boot(t, 1000))
			s.chip = chips.New(seed)
			err := s.boot(t, n)
			if err != nil && !errors.Is(err, errCut) {
				t.Fatalf("seed %d, cut before change %d: %v", seed, n, err)
			}
			for range 2 {
				if err := s.boot(t, 1000); err != nil {
					t.Fatalf("seed %d, cut before change %d: the next boot: %v", seed, n, err)
				}
			}
			if s.has(device.KeyFile) || keyslot.Unbound(s.disk, "/etc/g8os") {
				t.Fatalf("seed %d, cut before change %d: something still opens without the TPM", seed, n)
			}
			if err == nil {
				break
			}
			cuts++
		}
	}
	if cuts < 3*20 {
		t.Errorf("%d cuts only", cuts)
	}
}

// A TPM that fails in the middle of it is no harm either: the key stays where it
// was.
func TestATPMThatFailsInTheMove(t *testing.T) {
	for n := range 6 {
		s := simulate(7)
		must(t, s.boot(t, 1000))
		s.chip = chips.New(7)
		left := n
		s.chip.Before = func(string) error {
			if left--; left < 0 {
				return errors.New("the TPM is busy")
			}
			return nil
		}
		_ = s.boot(t, 1000) // it may not open this time: the key is where it was, or sealed
		s.chip.Before = nil
		for range 2 {
			if err := s.boot(t, 1000); err != nil {
				t.Fatalf("a failure at operation %d: %v", n, err)
			}
		}
		if s.has(device.KeyFile) || keyslot.Unbound(s.disk, "/etc/g8os") {
			t.Errorf("a failure at operation %d: something still opens without the TPM", n)
		}
	}
}

// Any row of boots, rotations, power cuts and an AC that goes away leaves a node
// that boots, that is the same to the AC, and whose slots all need the TPM.
func TestAnyRowOfEventsLeavesANodeThatBoots(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := simulate(rapid.Byte().Draw(rt, "seed"))
		later := rapid.Bool().Draw(rt, "tpm comes later")
		if !later {
			s.chip = chips.New(1)
		}
		must(t, s.boot(t, 1000))
		if later {
			s.chip = chips.New(1)
		}
		generation := uint32(1)
		for range rapid.IntRange(1, 8).Draw(rt, "events") {
			n := rapid.IntRange(0, 60).Draw(rt, "cut before change")
			s.ac.left = rapid.IntRange(-1, 8).Draw(rt, "requests until the AC is away")
			var err error
			if rapid.Bool().Draw(rt, "rotate") {
				if s.ac.alone == generation || generation == 1 {
					generation++
				}
				err = s.rotate(t, generation, n, nil)
			} else {
				err = s.boot(t, n)
			}
			if err != nil && !errors.Is(err, errCut) && !errors.Is(err, errAway) {
				rt.Fatal(err)
			}
			s.ac.dropped = s.ac.alone - min(s.ac.alone, 1)
			s.ac.left = -1
		}
		for range 2 {
			if err := s.boot(t, 1000); err != nil {
				rt.Fatal(err)
			}
		}
		if s.has(device.KeyFile) || keyslot.Unbound(s.disk, "/etc/g8os") {
			rt.Fatal("something opens without the TPM")
		}
	})
}

// The same with a real TPM and a real volume, over boots.
func TestARealTPM(t *testing.T) {
	chip, dir, a := tpmtest.New(t), t.TempDir(), newAC()
	open := func(o Options) (*Vault, error) {
		v, err := Open(o)
		if err == nil {
			t.Cleanup(func() { _ = v.Close(context.Background()) })
		}
		return v, err
	}
	o := options(dir, testenv.Gocryptfs(t))
	o.TPM = chip.TPM()
	for range 2 {
		v, err := open(o)
		must(t, err)
		if r := run1(t, v, a); r.TPM != TPMKeeps {
			t.Fatalf("%+v", r)
		}
		must(t, v.Close(t.Context()))
		chip.Boot()
	}
	if _, err := os.Stat(filepath.Join(o.Dir, device.KeyFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the device key lies on the disk")
	}
	v, err := open(o)
	must(t, err)
	must(t, v.Rotate(t.Context(), a, claim, 2))
	chip.Clear()
	if _, err := open(o); !errors.Is(err, ErrOperator) {
		t.Fatal(err)
	}
	o.Recovery = true
	v, err = open(o)
	must(t, err)
	if _, err := v.RunRecovery(t.Context(), material("wrong")); !errors.Is(err, keyslot.ErrKey) {
		t.Fatal(err)
	}
	if r, err := v.RunRecovery(t.Context(), a.recovery); err != nil || r.TPM != TPMKeeps {
		t.Fatalf("%+v, %v", r, err)
	}
	must(t, v.Close(t.Context()))
	o.Recovery = false
	v, err = open(o)
	must(t, err)
	if r := run1(t, v, a); r.Generation != 2 {
		t.Errorf("%+v", r)
	}
	must(t, v.Close(t.Context()))
}
