package device

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/tpm"
)

const pemType = "PRIVATE KEY"

// load leads to: the key that a TPM keeps; the one on disk in clear, which it is
// given to keep; a new one, where there is none and where nothing depends on the
// damaged one; ErrSealed; ErrDamaged.
func (o Options) load() (ed25519.PrivateKey, kept, error) {
	k, err := o.read()
	if err == nil {
		return o.whole(k)
	}
	plain, plainErr := o.plain()
	switch {
	case plainErr == nil && !errors.Is(err, fs.ErrNotExist) && o.ShareInUse: // put back by somebody: it serves to ask, not to open
		o.Log.Warn("the device key on the disk is used, not the one that the TPM keeps", "error", err)
		return plain, nil, nil
	case plainErr == nil:
		return o.toTPM(plain)
	case !errors.Is(err, fs.ErrNotExist):
		return o.replace(SealedFile, err)
	case !errors.Is(plainErr, fs.ErrNotExist):
		return o.replace(KeyFile, plainErr)
	}
	return o.create()
}

// whole ends what a killed process may have left half-done, and moves what lies
// on the disk in clear into a TPM that is there now.
func (o Options) whole(k kept) (ed25519.PrivateKey, kept, error) {
	if o.TPM != nil && o.inClear() {
		if err := o.seal(k); err != nil {
			o.Log.Warn("the TPM does not keep the device key, it stays on the disk in clear", "error", err)
		}
	}
	if plain, err := o.plain(); err == nil && !plain.Equal(k.key()) {
		o.Log.Warn("there is a second device key on the disk, which is not used", "file", filepath.Join(o.Dir, KeyFile))
		return k.key(), k, nil
	}
	return k.key(), k, o.removePlain()
}

// toTPM has the TPM keep a key, if there is one and it does.
func (o Options) toTPM(key ed25519.PrivateKey) (ed25519.PrivateKey, kept, error) {
	if o.TPM == nil {
		return key, nil, nil
	}
	k, err := o.adopt(key)
	if err != nil {
		o.Log.Warn("the TPM does not keep the device key, it stays on the disk in clear", "error", err)
		return key, nil, nil
	}
	return key, k, nil
}

// plain reads the key that lies on the disk in clear.
func (o Options) plain() (ed25519.PrivateKey, error) {
	path := filepath.Join(o.Dir, KeyFile)
	raw, err := o.Disk.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the device key: %w", err)
	}
	key, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	return key, o.Disk.Chmod(path, 0o600)
}

// replace makes another key in the place of one that cannot be used, if nothing
// depends on it; a TPM that is not there may come back.
func (o Options) replace(file string, why error) (ed25519.PrivateKey, kept, error) {
	if !errors.Is(why, ErrDamaged) && !errors.Is(why, tpm.ErrOther) {
		return nil, nil, why
	}
	for _, d := range o.Dependents {
		if _, statErr := o.Disk.Lstat(d); statErr == nil {
			if errors.Is(why, ErrSealed) {
				return nil, nil, why
			}
			return nil, nil, fmt.Errorf("%w; %s depends on it: restore the key from a backup, or move it away, "+
				"start again, and approve the node's new key at the AC", why, d)
		}
	}
	path := filepath.Join(o.Dir, file)
	if err := durable.Rename(o.Disk, path, path+".broken"); err != nil {
		return nil, nil, fmt.Errorf("move the damaged device key aside: %w", err)
	}
	if err := o.Disk.Remove(path + durable.Previous); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("move the damaged device key aside: %w", err)
	}
	return o.create()
}

// create makes a key. Where a TPM keeps it, it is on the disk in clear until the
// TPM has proved itself, and nothing depends on it until then.
func (o Options) create() (ed25519.PrivateKey, kept, error) {
	_, key, err := ed25519.GenerateKey(o.Rand)
	if err != nil {
		return nil, nil, fmt.Errorf("make a device key: %w", err)
	}
	if o.TPM != nil {
		k, err := o.adopt(key)
		if err == nil {
			return key, k, nil
		}
		o.Log.Warn("the TPM does not keep the device key, it lies on the disk in clear", "error", err)
	}
	return key, nil, o.writePlain(key)
}

func parse(raw []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != pemType {
		return nil, errors.New("not a PEM private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("is a %T, want Ed25519", parsed)
	}
	return key, nil
}

func (o Options) writePlain(key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make a device key: %w", err)
	}
	if err := durable.MkdirAll(o.Disk, o.Dir, 0o755); err != nil {
		return fmt.Errorf("make a device key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	return durable.Write(o.Disk, filepath.Join(o.Dir, KeyFile), data, 0o600)
}
