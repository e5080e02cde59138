// Package seal keeps secrets unreadable at rest: everything that an AC stores
// and that would help a thief is sealed under a master key, which never lies
// beside the data.
//
// It promises that a sealed record opens only under the same master key, for
// the same record key and generation; that a damaged or moved record is an
// error and never garbage; and that a new master key can be added, and used,
// before the old one is removed (Sealer.Add, Use, Keep), each step durable in
// the key file before it counts. It does not rotate by itself
// (ac-mock/rotate/drive), and it does not hide how long a secret is.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/g8os/g8os/core/api"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

const (
	version   = 1
	idSize    = 8
	headSize  = 1 + idSize
	dekLabel  = "g8os sealed record v1\x00"
	idLabel   = "g8os master key id v1"
	nonceSize = 12
	tagSize   = 16
)

// Overhead is how many bytes an envelope is longer than what it holds.
const Overhead = headSize + nonceSize + tagSize

// ErrKey is wrapped when a record was sealed under a master key that is not
// here.
var ErrKey = errors.New("sealed under another master key")

// ErrDamaged is wrapped when a record does not open: it was changed, or it
// belongs to another key or generation.
var ErrDamaged = errors.New("sealed record is damaged or was moved")

// KeyID names a master key without telling anything about it.
type KeyID [idSize]byte

func (id KeyID) String() string { return fmt.Sprintf("%x", id[:]) }

type masterKey struct {
	id  KeyID
	key []byte
}

// Sealer seals under its first master key and opens under any of them. It is
// safe to be used from many goroutines.
type Sealer struct {
	file     string // where the keys lie; empty: nowhere
	changing sync.Mutex
	all      atomic.Pointer[[]masterKey] // replaced, never changed
}

func (s *Sealer) keys() []masterKey { return *s.all.Load() }

// New makes a Sealer from master keys of KeySize bytes; the first one seals.
func New(keys ...api.Secret) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: no master key given, want at least one")
	}
	var all []masterKey
	for i, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("seal: master key %d has %d bytes, want %d", i+1, len(k), KeySize)
		}
		id, err := idOf(k)
		if err != nil {
			return nil, err
		}
		all = append(all, masterKey{id: id, key: append([]byte(nil), k...)})
	}
	s := &Sealer{}
	s.all.Store(&all)
	return s, nil
}

// ID names the master key under which records are sealed now.
func (s *Sealer) ID() KeyID { return s.keys()[0].id }

// Seal encrypts a secret for one record key and generation.
//
//	1 byte  version
//	8 bytes master key id
//	12 bytes random nonce
//	n bytes AES-256-GCM ciphertext, 16 bytes tag
//
// The key is HKDF-SHA256(master key, record key), so that no two records share
// one; version, id, record key and generation are authenticated with it.
func (s *Sealer) Seal(recordKey string, generation uint64, secret api.Secret) ([]byte, error) {
	m := s.keys()[0]
	aead, err := m.aead(recordKey)
	if err != nil {
		return nil, err
	}
	head := append([]byte{version}, m.id[:]...)
	return aead.Seal(head, nil, secret, associated(head, recordKey, generation)), nil
}

// Open decrypts what Seal made for the same record key and generation. Errors
// wrap ErrKey or ErrDamaged.
func (s *Sealer) Open(recordKey string, generation uint64, envelope []byte) (api.Secret, error) {
	if len(envelope) < Overhead || envelope[0] != version {
		return nil, fmt.Errorf("open sealed record %s: %w: %d bytes, not an envelope of version %d", recordKey, ErrDamaged, len(envelope), version)
	}
	head, body := envelope[:headSize], envelope[headSize:]
	m, err := s.find(KeyID(head[1:]))
	if err != nil {
		return nil, fmt.Errorf("open sealed record %s: %w", recordKey, err)
	}
	aead, err := m.aead(recordKey)
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, nil, body, associated(head, recordKey, generation))
	if err != nil {
		return nil, fmt.Errorf("open sealed record %s, generation %d: %w: %w", recordKey, generation, ErrDamaged, err)
	}
	return secret, nil
}

// SealedUnder names the master key of an envelope, so that a rotation can find
// what still has to be sealed again.
func SealedUnder(envelope []byte) (KeyID, error) {
	if len(envelope) < Overhead || envelope[0] != version {
		return KeyID{}, fmt.Errorf("%w: %d bytes, not an envelope of version %d", ErrDamaged, len(envelope), version)
	}
	return KeyID(envelope[1:headSize]), nil
}

func (s *Sealer) find(id KeyID) (masterKey, error) {
	for _, m := range s.keys() {
		if m.id == id {
			return m, nil
		}
	}
	return masterKey{}, fmt.Errorf("%w: it needs key %s, the master key file has %s; put that key back into the file, from its copy or from another AC's file", ErrKey, id, s.ID())
}

func (m masterKey) aead(recordKey string) (cipher.AEAD, error) {
	dek, err := hkdf.Key(sha256.New, m.key, nil, dekLabel+recordKey, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of record %s: %w", recordKey, err)
	}
	block, err := aes.NewCipher(dek)
	if err != nil {
		return nil, fmt.Errorf("key of record %s: %w", recordKey, err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// associated is what is authenticated beside the secret. All parts but the
// last have a fixed length, so no two inputs look the same.
func associated(head []byte, recordKey string, generation uint64) []byte {
	a := append([]byte(nil), head...)
	a = binary.BigEndian.AppendUint64(a, generation)
	return append(a, recordKey...)
}

func idOf(key []byte) (KeyID, error) {
	b, err := hkdf.Key(sha256.New, key, nil, idLabel, idSize)
	if err != nil {
		return KeyID{}, fmt.Errorf("name a master key: %w", err)
	}
	return KeyID(b), nil
}
