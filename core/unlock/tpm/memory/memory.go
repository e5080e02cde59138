// Package memory is a TPM in memory: it keeps secrets as package tpm does, for
// simulated nodes and for tests of what stands on a TPM.
//
// It promises what tpm.TPM promises, errors included, and that all that it does
// follows from its seed. It is not a TPM 2.0: it speaks no TPM commands.
package memory

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/g8os/g8os/core/unlock/tpm"
)

// TPM is one chip, for one goroutine at a time.
type TPM struct {
	// Away has it not answer.
	Away bool
	// Before is asked before each operation, whose error it gives; nil: go on.
	Before func(op string) error

	rng    *rand.ChaCha8
	key    [32]byte
	counts tpm.Counts
}

// New returns a chip made from a seed.
func New(seed byte) *TPM {
	t := &TPM{rng: rand.NewChaCha8([32]byte{seed})}
	t.Clear()
	return t
}

// Clear makes it forget what it was: nothing that it sealed opens any more.
func (t *TPM) Clear() {
	_, _ = t.rng.Read(t.key[:])
	t.counts = tpm.Counts{}
}

// Boot resets it.
func (t *TPM) Boot() { t.counts.Resets++ }

// Run has it under power for so long.
func (t *TPM) Run(d time.Duration) { t.counts.PoweredMS += uint64(d.Milliseconds()) }

type blob struct {
	Limit *tpm.Limit `json:"limit"`
	Data  []byte     `json:"data"`
}

func (t *TPM) ask(op string) error {
	if t.Away {
		return fmt.Errorf("%s: %w", op, tpm.ErrNone)
	}
	if t.Before != nil {
		return t.Before(op)
	}
	return nil
}

// Present says that there is one, unless it is away.
func (t *TPM) Present() bool { return !t.Away }

// Counts are those of the chip.
func (t *TPM) Counts() (tpm.Counts, error) { return t.counts, t.ask("counts") }

// Seal is that of package tpm.
func (t *TPM) Seal(secret []byte) ([]byte, error) { return t.seal(secret, nil) }

// SealUntil is that of package tpm.
func (t *TPM) SealUntil(secret []byte, l tpm.Limit) ([]byte, error) { return t.seal(secret, &l) }

func (t *TPM) seal(secret []byte, l *tpm.Limit) ([]byte, error) {
	if err := t.ask("seal"); err != nil {
		return nil, err
	}
	aead, err := t.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = t.rng.Read(nonce)
	return json.Marshal(blob{l, aead.Seal(nonce, nonce, secret, bound(l))})
}

func (t *TPM) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(t.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func bound(l *tpm.Limit) []byte {
	if l == nil {
		return nil
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, l.PoweredMS), l.Resets)
}

// Unseal is that of package tpm.
func (t *TPM) Unseal(sealed []byte) ([]byte, error) {
	if err := t.ask("unseal"); err != nil {
		return nil, err
	}
	aead, err := t.aead()
	if err != nil {
		return nil, err
	}
	var b blob
	if err := json.Unmarshal(sealed, &b); err != nil || len(b.Data) < aead.NonceSize() {
		return nil, fmt.Errorf("unseal: %w", tpm.ErrOther)
	}
	n := aead.NonceSize()
	secret, err := aead.Open(nil, b.Data[:n], b.Data[n:], bound(b.Limit))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unseal: %w", tpm.ErrOther)
	case b.Limit != nil && (t.counts.PoweredMS > b.Limit.PoweredMS || t.counts.Resets > b.Limit.Resets):
		return nil, fmt.Errorf("unseal: %w", tpm.ErrLimit)
	}
	return secret, nil
}
