package keyslot

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// TPM is what a machine's TPM keeps for its node. Where the TPM is lost, the
// operator's recovery key brings it back: Kept lies in the file, wrapped with the
// password of the volume.
type TPM struct {
	Share api.Secret // in the key of the AC's slots, ShareSize bytes
	Kept  api.Secret // all that is sealed, the share among it
}

// keptInfo is what the wrapped copy is bound to, beside the node.
const keptInfo = "g8os keyslot v1 kept\x00"

// NeedsTPM says whether some slot of the AC does not open without the TPM.
func (f *File) NeedsTPM() bool {
	return slices.ContainsFunc(f.slots, func(s slot) bool { return s.TPM })
}

// Bound says whether none of the AC's slots opens without the TPM.
func (f *File) Bound() bool {
	return !slices.ContainsFunc(f.slots, func(s slot) bool { return s.Kind == KindUnlock && !s.TPM })
}

// Unbound says whether a copy of the file in dir, the previous one too, has a
// slot of the AC that opens without the TPM. A copy that cannot be read has none.
func Unbound(d durable.Disk, dir string) bool {
	for _, name := range []string{Name, Name + durable.Previous} {
		data, err := d.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if f, err := Decode(data); err == nil && !f.Bound() {
			return true
		}
	}
	return false
}

// keep wraps what the TPM keeps.
func (f *File) keep(password api.Secret) error {
	if f.TPM == nil {
		return nil
	}
	nonce := make([]byte, nonceSize)
	if err := f.random(nonce); err != nil {
		return err
	}
	aead, info, err := cipherOf(password, keptInfo+string(f.node))
	if err != nil {
		return err
	}
	f.kept = aead.Seal(nonce, nonce, f.TPM.Kept, info)
	return nil
}

// Kept returns what the machine's TPM kept when the last slot was made, opened
// with the password; nil: nothing. The error wraps ErrKey.
func (f *File) Kept(password api.Secret) (api.Secret, error) {
	if f.kept == nil {
		return nil, nil
	}
	aead, info, err := cipherOf(password, keptInfo+string(f.node))
	if err != nil {
		return nil, err
	}
	kept, err := unwrap(aead, f.kept, info)
	if err != nil {
		return nil, fmt.Errorf("what the TPM kept: %w", err)
	}
	return kept, nil
}
