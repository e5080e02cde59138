package ca_test

import (
	"crypto"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store/memory"
)

// BenchmarkIssue is one certificate of a node, with each kind of issuing key.
func BenchmarkIssue(b *testing.B) {
	for name, newKey := range map[string]func() (crypto.Signer, error){"ecdsa": nil, "ed25519": seeded()} {
		b.Run(name, func(b *testing.B) {
			sealer, err := seal.New(make([]byte, seal.KeySize))
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			c, err := ca.New(b.Context(), ca.Options{
				Store: memory.New(memory.Options{}), Seal: sealer, Grid: "grid.example", NewKey: newKey,
				RootKey: filepath.Join(dir, "keys", "root.pem"), DataDir: filepath.Join(dir, "data"),
			})
			if err != nil {
				b.Fatal(err)
			}
			public := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public()
			for b.Loop() {
				if _, _, err := c.Issue(nodeIdentity(), public, time.Hour, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
