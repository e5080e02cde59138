package device

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/tpm"
)

// SealedFile holds the device key of a machine with a TPM, sealed by it together
// with the TPM's share of the volume's key. The private key is in the core's
// memory while it runs: a TPM 2.0 makes no Ed25519 signatures.
const SealedFile = "device.tpm"

// ShareSize is the length of the TPM's share, in bytes.
const ShareSize = 32

const keptSize = ed25519.SeedSize + ShareSize

// ErrSealed is wrapped when the device key was sealed by a TPM that is not there
// any more: it was cleared, is switched off, or the disk is in another machine.
var ErrSealed = errors.New("device key is sealed by a TPM that does not give it back")

// Sealer is a machine's TPM: tpm.TPM, or the one in memory beside it.
type Sealer interface {
	Present() bool
	Seal(secret []byte) ([]byte, error)
	Unseal(sealed []byte) ([]byte, error)
}

// sealedFile is the content of SealedFile.
type sealedFile struct {
	Public   []byte          `json:"public"` // the key's public half
	Sealed   json.RawMessage `json:"sealed,omitempty"`
	Clear    []byte          `json:"clear,omitempty"` // instead: the operator said that there is no TPM any more
	Checksum string          `json:"checksum"`        // SHA-256 of Public, Sealed and Clear, hex
}

func (f sealedFile) sum() string {
	sum := sha256.Sum256(bytes.Join([][]byte{f.Public, f.Sealed, f.Clear}, []byte{0}))
	return hex.EncodeToString(sum[:])
}

func parseSealed(raw []byte) (sealedFile, error) {
	var f sealedFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, err
	}
	if f.sum() != f.Checksum || len(f.Public) != ed25519.PublicKeySize {
		return f, errors.New("checksum is wrong")
	}
	return f, nil
}

// kept is what a TPM keeps: the seed of the device key, and the TPM's share.
type kept []byte

func (k kept) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k[:ed25519.SeedSize]) }
func (k kept) share() api.Secret       { return api.Secret(k[ed25519.SeedSize:]) }

// write seals k and replaces the file by it, and its previous copy too, which
// would be of another TPM.
func (o Options) write(k kept) error {
	f := sealedFile{Public: k.key().Public().(ed25519.PublicKey)}
	if o.TPM == nil {
		f.Clear = k
	} else {
		sealed, err := o.TPM.Seal(k)
		if err != nil {
			return err
		}
		f.Sealed = sealed
	}
	f.Checksum = f.sum()
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(o.Disk, o.Dir, 0o755); err != nil {
		return err
	}
	good := func(b []byte) bool { _, err := parseSealed(b); return err == nil }
	path := filepath.Join(o.Dir, SealedFile)
	return errors.Join(durable.WriteKeeping(o.Disk, path, raw, 0o600, good), durable.Write(o.Disk, path+durable.Previous, raw, 0o600))
}

// read returns what is sealed on the disk, as the TPM gives it back. Errors wrap
// fs.ErrNotExist, ErrSealed or ErrDamaged.
func (o Options) read() (kept, error) {
	path := filepath.Join(o.Dir, SealedFile)
	f, _, err := durable.Read(o.Disk, path, parseSealed)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	k := kept(f.Clear)
	if k == nil {
		if o.TPM == nil {
			return nil, fmt.Errorf("%w: %w in this machine", ErrSealed, tpm.ErrNone)
		}
		if k, err = o.TPM.Unseal(f.Sealed); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSealed, err)
		}
	}
	if len(k) != keptSize || !k.key().Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(f.Public)) {
		return nil, fmt.Errorf("%w: %s: what is sealed in it is another key", ErrDamaged, path)
	}
	return k, nil
}

// inClear says whether the file holds its content in clear.
func (o Options) inClear() bool {
	f, _, err := durable.Read(o.Disk, filepath.Join(o.Dir, SealedFile), parseSealed)
	return err == nil && f.Clear != nil
}

// seal puts k into the keeping of the TPM: add, and prove that what is on the
// disk comes back.
func (o Options) seal(k kept) error {
	if err := o.write(k); err != nil {
		return fmt.Errorf("seal the device key: %w", err)
	}
	back, err := o.read()
	if err != nil {
		return fmt.Errorf("seal the device key: it does not come back: %w", err)
	}
	if !bytes.Equal(back, k) {
		return errors.New("seal the device key: another one comes back")
	}
	return nil
}

// adopt has a TPM keep a key that lies on the disk in clear, and then removes
// that: add, prove, remove. Blocks of the disk that held it are not wiped.
func (o Options) adopt(key ed25519.PrivateKey) (kept, error) {
	k := append(kept(key.Seed()), make([]byte, ShareSize)...)
	if _, err := io.ReadFull(o.Rand, k.share()); err != nil {
		return nil, fmt.Errorf("make the TPM's share: %w", err)
	}
	if err := o.seal(k); err != nil {
		return nil, err
	}
	return k, o.removePlain()
}

// removePlain takes the key in clear away.
func (o Options) removePlain() error {
	err := o.Disk.Remove(filepath.Join(o.Dir, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(o.Disk, o.Dir)
	}
	if err != nil {
		return fmt.Errorf("remove the device key in clear: %w", err)
	}
	return nil
}

// Restore gives the keeping of what Kept returned, on this disk, to the TPM that
// is there now, and without one to the disk itself, in clear. The caller has
// proved that it is of this node: it opens the volume.
func Restore(o Options, of api.Secret) error {
	o.complete()
	if len(of) != keptSize {
		return fmt.Errorf("restore the device key: it has %d bytes, want %d", len(of), keptSize)
	}
	if err := o.seal(kept(of)); err != nil {
		return err
	}
	return o.removePlain()
}
