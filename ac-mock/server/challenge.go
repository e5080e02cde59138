package server

import (
	"crypto/rand"
	"sync"

	"github.com/g8os/g8os/core/api"
)

// challenge is the nonce that is open on one connection. Each is good once.
type challenge struct {
	mu    sync.Mutex
	nonce []byte
}

// renew opens a new nonce; an older one is void.
func (c *challenge) renew() []byte {
	nonce := make([]byte, api.NonceSize)
	_, _ = rand.Read(nonce)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nonce = nonce
	return nonce
}

// spend returns the open nonce, if any, and closes it.
func (c *challenge) spend() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	nonce := c.nonce
	c.nonce = nil
	return nonce
}
