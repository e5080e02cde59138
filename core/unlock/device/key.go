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
)

const pemType = "PRIVATE KEY"

// loadOrMake leads to: the key on disk; a new key, when there is none or
// nothing depends on the damaged one; ErrDamaged.
func loadOrMake(o Options) (ed25519.PrivateKey, error) {
	path := filepath.Join(o.Dir, KeyFile)
	raw, err := o.Disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(o, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the device key: %w", err)
	}
	key, err := parse(raw)
	if err == nil {
		return key, o.Disk.Chmod(path, 0o600)
	}
	for _, d := range o.Dependents {
		if _, statErr := o.Disk.Lstat(d); statErr == nil {
			return nil, fmt.Errorf("%w: %s: %w; %s depends on it: restore the key from a backup, or move it away, "+
				"start again, and approve the node's new key at the AC", ErrDamaged, path, err, d)
		}
	}
	if err := durable.Rename(o.Disk, path, path+".broken"); err != nil {
		return nil, fmt.Errorf("move the damaged device key aside: %w", err)
	}
	return create(o, path)
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

func create(o Options, path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(o.Rand)
	if err != nil {
		return nil, fmt.Errorf("make a device key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a device key: %w", err)
	}
	if err := durable.MkdirAll(o.Disk, o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a device key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	return key, durable.Write(o.Disk, path, data, 0o600)
}
