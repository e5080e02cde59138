package keyslot

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/g8os/g8os/core/durable/memory"
)

// A slot is on disks for years: how it was wrapped when the format was new is
// spelled out here, and opens.
func TestASlotWrappedLongAgoOpens(t *testing.T) {
	f, password, one, _, _ := filled(t)
	s := &f.slots[f.find(KindUnlock, 1)]
	info := "g8os keyslot v1\x00020000000001\x00unlock\x001"
	kek, err := hkdf.Key(sha256.New, slices.Concat(s.DiskShare, one), nil, info, ShareSize)
	must(t, err)
	block, err := aes.NewCipher(kek)
	must(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	must(t, err)
	s.Wrapped = aead.Seal(nil, nil, password, []byte(info))
	if got, err := f.OpenUnlock(1, one); err != nil || !slices.Equal(got, password) {
		t.Fatal(err)
	}
	for length := range len(s.Wrapped) {
		whole := s.Wrapped
		s.Wrapped = whole[:length]
		if _, err := f.OpenUnlock(1, one); !errors.Is(err, ErrKey) {
			t.Fatalf("cut to %d bytes: %v", length, err)
		}
		s.Wrapped = whole
	}
}

func TestTheFileFollowsFromItsSource(t *testing.T) {
	one, password := secret(), secret()
	file := func(seed byte) string {
		f := New("020000000001", "lab")
		f.Rand = rand.NewChaCha8([32]byte{seed})
		must(t, f.AddUnlock(1, one, password))
		d := memory.New(func(int) int { return 0 })
		must(t, f.Save(d, "/"))
		raw, err := d.ReadFile("/" + Name)
		must(t, err)
		return string(raw)
	}
	if one, again, other := file(1), file(1), file(2); one != again || one == other {
		t.Error("one source makes one file, two make two")
	}
}
