package device

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/g8os/g8os/core/durable"
)

const pemType = "PRIVATE KEY"

// loadOrMake leads to: the key on disk; a new key, when there is none or
// nothing depends on the damaged one; ErrDamaged.
func loadOrMake(dir string, dependents []string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, KeyFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the device key: %w", err)
	}
	key, err := parse(raw)
	if err == nil {
		return key, os.Chmod(path, 0o600)
	}
	for _, d := range dependents {
		if _, statErr := os.Lstat(d); statErr == nil {
			return nil, fmt.Errorf("%w: %s: %w; %s depends on it: restore the key from a backup, or move it away, "+
				"start again, and approve the node's new key at the AC", ErrDamaged, path, err, d)
		}
	}
	if err := durable.Rename(path, path+".broken"); err != nil {
		return nil, fmt.Errorf("move the damaged device key aside: %w", err)
	}
	return create(path)
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

func create(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a device key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a device key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make a device key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	return key, durable.Write(path, data, 0o600)
}
