package secure

import (
	"bytes"
	"crypto/x509"
	"errors"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/g8os/g8os/core/durable/memory"
	"github.com/g8os/g8os/core/unlock/device"
)

var errCut = errors.New("the power is gone")

// simulated returns a node whose disk is in memory and whose keys follow from
// a seed.
func simulated(t *testing.T, a *ac, seed byte) (*memory.Disk, Request, *device.Device) {
	t.Helper()
	disk := memory.New(mathrand.New(mathrand.NewPCG(uint64(seed), 0)).IntN)
	chaos := mathrand.NewChaCha8([32]byte{seed})
	dev, err := device.Open(device.Options{Dir: "/etc/g8os", Disk: disk, Rand: chaos})
	must(t, err)
	pinned := x509.NewCertPool()
	pinned.AddCert(a.root)
	return disk, Request{Dir: "/mnt/etc/ssl", ID: node, Pinned: pinned, Now: start.Add(time.Hour), Disk: disk, Rand: chaos}, dev
}

// Wherever the power goes during a renewal, the node has the old pair or the
// new one.
func TestAPowerCutDuringARenewalLeavesAPair(t *testing.T) {
	for seed := range byte(5) {
		for n, done := 0, false; !done; n++ {
			a := newAC(t)
			disk, r, dev := simulated(t, a, seed)
			_, _, err := Obtain(t.Context(), a, dev, r)
			must(t, err)
			left := n
			disk.Before = func(string, string) error {
				if left--; left < 0 {
					return errCut
				}
				return nil
			}
			renewed, _, err := Obtain(t.Context(), a, dev, r)
			if done = err == nil; !done && !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			disk.Before = nil
			disk.PowerCut()
			after, err := Load(disk, r.Dir, node, r.Now)
			switch {
			case err != nil:
				t.Fatalf("seed %d, cut before change %d: %v", seed, n, err)
			case done && !after.Leaf.Equal(renewed.Leaf):
				t.Fatalf("seed %d: the renewed certificate is lost", seed)
			}
		}
	}
}

func TestTheKeyFollowsFromTheSourceAlone(t *testing.T) {
	key := func(seed byte) string {
		a := newAC(t)
		disk, r, dev := simulated(t, a, seed)
		_, _, err := Obtain(t.Context(), a, dev, r)
		must(t, err)
		raw, err := disk.ReadFile(r.Dir + "/" + KeyFile)
		must(t, err)
		return string(raw)
	}
	if one, again, other := key(1), key(1), key(2); one != again || one == other {
		t.Error("one seed makes one key, two seeds make two")
	}
	if _, err := makeKey(bytes.NewReader(nil)); err == nil {
		t.Error("a key from nothing")
	}
	out := bytes.Repeat([]byte{0xFF}, 32) // above the order of the curve
	if k, err := makeKey(bytes.NewReader(append(out, bytes.Repeat([]byte{1}, 32)...))); err != nil || k == nil {
		t.Errorf("a number out of range is not drawn again: %v", err)
	}
}
