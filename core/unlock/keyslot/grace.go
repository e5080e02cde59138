package keyslot

import (
	"fmt"
	"io"

	"github.com/g8os/g8os/core/api"
)

// graceInfo is what a slot of a grace is bound to, beside the node. It is not in
// the key-slot file: it goes when the grace does.
const graceInfo = "g8os keyslot v1 grace\x00"

// WrapGrace wraps the password for a key that a node keeps for a while.
func WrapGrace(node api.NodeID, key, password api.Secret, random io.Reader) ([]byte, error) {
	if len(key) != ShareSize {
		return nil, fmt.Errorf("wrap for a grace: %w: it has %d bytes, want %d", ErrKey, len(key), ShareSize)
	}
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("wrap for a grace: %w", err)
	}
	aead, info, err := cipherOf(key, graceInfo+string(node))
	if err != nil {
		return nil, fmt.Errorf("wrap for a grace: %w", err)
	}
	return aead.Seal(nonce, nonce, password, info), nil
}

// UnwrapGrace is the inverse of WrapGrace. The error wraps ErrKey.
func UnwrapGrace(node api.NodeID, key api.Secret, wrapped []byte) (api.Secret, error) {
	aead, info, err := cipherOf(key, graceInfo+string(node))
	if err != nil {
		return nil, fmt.Errorf("open with grace: %w", err)
	}
	password, err := unwrap(aead, wrapped, info)
	if err != nil {
		return nil, fmt.Errorf("open with grace: %w", err)
	}
	return password, nil
}
