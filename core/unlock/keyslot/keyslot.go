// Package keyslot is the key-slot file of a node: the random password of its
// private volume, wrapped once for every key that may open it.
//
// It promises that the file opens nothing by itself and a key opens nothing
// without the file (each slot holds a random disk share, and the key that
// wraps is HKDF of both), that a slot is good for one node, kind and
// generation only, and that a damaged file is noticed and mended from the
// previous copy. It is not the volume, and it never holds a key in clear.
//
//	KEK      = HKDF-SHA256(secret: disk share ‖ share [‖ TPM share], info: "g8os keyslot v1" node kind generation [tpm])
//	wrapped  = AES-256-GCM(KEK, password, associated data: info)
package keyslot

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/g8os/g8os/core/api"
)

// ShareSize is the length of every share, disk or AC, and of a recovery key,
// in bytes.
const ShareSize = 32

// nonceSize is that of AES-GCM, in bytes.
const nonceSize = 12

// Reasons for which a slot does not open or may not go.
var (
	ErrKey  = errors.New("key does not open the slot")
	ErrSlot = errors.New("no such key slot")
	ErrTPM  = errors.New("the slot needs the share that the machine's TPM keeps, and that is not there")
	ErrLast = errors.New("is the last key slot of the AC, without it the node cannot boot")
)

// Kind says whose key opens a slot.
type Kind string

// The kinds: the AC's, with a generation from 1, and the operator's.
const (
	KindUnlock   Kind = "unlock"
	KindRecovery Kind = "recovery"
)

// slot is one wrapped copy of the password.
type slot struct {
	Kind       Kind   `json:"kind"`
	Generation uint32 `json:"generation"` // 0 in a recovery slot
	DiskShare  []byte `json:"disk_share"`
	Wrapped    []byte `json:"wrapped"`       // nonce first
	TPM        bool   `json:"tpm,omitempty"` // the TPM's share is in its key
}

// File is a key-slot file in memory.
type File struct {
	// Rand is where disk shares and nonces come from; nil: crypto/rand.
	Rand io.Reader
	// TPM is what the machine's TPM keeps; nil: nothing. With it, the AC's slots
	// are made so that they do not open without.
	TPM *TPM

	node      api.NodeID
	grid      string
	confirmed uint32
	slots     []slot // by kind and generation
	kept      []byte // what the TPM keeps, wrapped with the password
}

// New returns a file without slots for a node of a grid.
func New(node api.NodeID, grid string) *File { return &File{node: node, grid: grid} }

// Node returns the node whose slots these are.
func (f *File) Node() api.NodeID { return f.node }

// Grid returns the grid of the node.
func (f *File) Grid() string { return f.grid }

// Confirmed returns the generation that the AC was last told to be in use, 0
// for none.
func (f *File) Confirmed() uint32 { return f.confirmed }

// SetConfirmed notes that the AC knows this generation to be in use.
func (f *File) SetConfirmed(generation uint32) { f.confirmed = generation }

// AddUnlock wraps the password for the AC's share of a generation. A
// generation that is there is replaced.
func (f *File) AddUnlock(generation uint32, share, password api.Secret) error {
	if generation == 0 {
		return fmt.Errorf("add key slot: generation is 0, want 1 or more")
	}
	if err := f.keep(password); err != nil {
		return fmt.Errorf("add key slot: %w", err)
	}
	return f.add(slot{Kind: KindUnlock, Generation: generation, TPM: f.TPM != nil}, share, password)
}

// AddRecovery wraps the password for the operator's key.
func (f *File) AddRecovery(key, password api.Secret) error {
	return f.add(slot{Kind: KindRecovery}, key, password)
}

// OpenUnlock returns the password, opened with the AC's share of a generation.
// Errors wrap ErrSlot or ErrKey.
func (f *File) OpenUnlock(generation uint32, share api.Secret) (api.Secret, error) {
	return f.open(KindUnlock, generation, share)
}

// OpenRecovery returns the password, opened with the operator's key. Errors
// wrap ErrSlot or ErrKey.
func (f *File) OpenRecovery(key api.Secret) (api.Secret, error) {
	return f.open(KindRecovery, 0, key)
}

// HasRecovery tells whether the operator's key opens this file.
func (f *File) HasRecovery() bool { return f.find(KindRecovery, 0) >= 0 }

// Generations returns those of the AC's slots, oldest first.
func (f *File) Generations() []uint32 {
	var g []uint32
	for _, s := range f.slots {
		if s.Kind == KindUnlock {
			g = append(g, s.Generation)
		}
	}
	slices.Sort(g)
	return g
}

// Remove forgets the AC's slot of a generation. It refuses to take the last.
// The previous copy on disk keeps the slot until the save after the next.
func (f *File) Remove(generation uint32) error {
	i := f.find(KindUnlock, generation)
	if i < 0 {
		return fmt.Errorf("remove generation %d: %w", generation, ErrSlot)
	}
	if len(f.Generations()) == 1 {
		return fmt.Errorf("remove generation %d: %w", generation, ErrLast)
	}
	f.slots = slices.Delete(f.slots, i, i+1)
	return nil
}

func (f *File) find(k Kind, generation uint32) int {
	return slices.IndexFunc(f.slots, func(s slot) bool { return s.Kind == k && s.Generation == generation })
}

func (f *File) add(s slot, share, password api.Secret) error {
	s.DiskShare = make([]byte, ShareSize)
	nonce := make([]byte, nonceSize)
	err1, err2 := f.random(s.DiskShare), f.random(nonce)
	aead, info, err := f.aead(s, share)
	if err := errors.Join(err1, err2, err); err != nil {
		return fmt.Errorf("add %s slot, generation %d: %w", s.Kind, s.Generation, err)
	}
	s.Wrapped = aead.Seal(nonce, nonce, password, info)
	if i := f.find(s.Kind, s.Generation); i >= 0 {
		f.slots[i] = s
		return nil
	}
	f.slots = append(f.slots, s)
	return nil
}

// random fills b.
func (f *File) random(b []byte) error {
	source := f.Rand
	if source == nil {
		source = rand.Reader
	}
	_, err := io.ReadFull(source, b)
	return err
}

func (f *File) open(k Kind, generation uint32, share api.Secret) (api.Secret, error) {
	i := f.find(k, generation)
	if i < 0 {
		return nil, fmt.Errorf("open %s slot, generation %d: %w", k, generation, ErrSlot)
	}
	aead, info, err := f.aead(f.slots[i], share)
	if err != nil {
		return nil, fmt.Errorf("open %s slot, generation %d: %w", k, generation, err)
	}
	password, err := unwrap(aead, f.slots[i].Wrapped, info)
	if err != nil {
		return nil, fmt.Errorf("open %s slot, generation %d: %w", k, generation, err)
	}
	return password, nil
}

// unwrap opens what begins with its nonce.
func unwrap(aead cipher.AEAD, wrapped, info []byte) (api.Secret, error) {
	if len(wrapped) < nonceSize {
		return nil, ErrKey
	}
	secret, err := aead.Open(nil, wrapped[:nonceSize], wrapped[nonceSize:], info)
	if err != nil {
		return nil, ErrKey
	}
	return secret, nil
}

// aead makes the cipher of one slot, and what it is bound to. No two slots
// share an info: the node id has a fixed length or the parts end in a zero.
func (f *File) aead(s slot, share api.Secret) (cipher.AEAD, []byte, error) {
	if len(share) != ShareSize {
		return nil, nil, fmt.Errorf("%w: has %d bytes, want %d", ErrKey, len(share), ShareSize)
	}
	info := fmt.Sprintf("g8os keyslot v1\x00%s\x00%s\x00%d", f.node, s.Kind, s.Generation)
	secret := slices.Concat(s.DiskShare, share)
	if s.TPM {
		if f.TPM == nil || len(f.TPM.Share) != ShareSize {
			return nil, nil, ErrTPM
		}
		info += "\x00tpm"
		secret = slices.Concat(secret, f.TPM.Share)
	}
	defer clear(secret)
	return cipherOf(secret, info)
}

// cipherOf makes the cipher of one secret and one use of it.
func cipherOf(secret []byte, info string) (cipher.AEAD, []byte, error) {
	kek, err := hkdf.Key(sha256.New, secret, nil, info, ShareSize)
	if err != nil {
		return nil, nil, err
	}
	defer clear(kek)
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, []byte(info), err
}
