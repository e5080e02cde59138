// Package device is what a machine is known by before it has any certificate:
// its device key, its boot id, and the counter of what it asks an AC for.
//
// It promises that the key is made once and never silently replaced where
// something depends on it, that the private key leaves the package only as
// signatures, and that a counter value is on disk before anybody can see it,
// so that no value is ever used twice. It is not an identity in the grid: that
// comes from the AC (core/unlock) and stands in a certificate (core/secure).
package device

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// Names of the files in the device's folder.
const (
	KeyFile     = "device.key" // PEM, PKCS #8, mode 0600; not on a machine with a TPM
	CounterFile = "counter"    // decimal, with a checksum
)

// ErrDamaged is wrapped when the key file cannot be used and must not be
// replaced, because something on this machine depends on it.
var ErrDamaged = errors.New("device key is damaged")

// Exchange is one TLS connection to an AC that has proved itself. Post sends
// in as JSON and reads the answer into out (nil: not of interest); its error
// wraps api.ErrRefused when the AC refuses. Binding is the connection's
// channel binding (api.Binding).
type Exchange interface {
	Post(ctx context.Context, path string, in, out any) error
	Binding() ([]byte, error)
}

// Options says where a device key is. Dir must be set.
type Options struct {
	Dir        string           // of the key and the counter: /etc/g8os
	Dependents []string         // while one of these paths exists, a damaged key is not replaced
	Disk       durable.Disk     // nil: durable.OS
	Rand       io.Reader        // of key and boot id; nil: crypto/rand
	Now        func() time.Time // nil: time.Now
	// TPM keeps the key, and a share of the volume's; nil: the machine has none.
	TPM Sealer
	// ShareInUse says that the volume of this disk needs the share that its TPM
	// keeps: it is never replaced by another one.
	ShareInUse bool
	Log        *slog.Logger // nil: slog.Default
}

// Device is one machine's device key. Its methods may be called concurrently.
type Device struct {
	o        Options
	counting sync.Mutex
	key      ed25519.PrivateKey
	kept     kept // with the key in it; nil: no TPM keeps it
	bootID   string
}

// Open reads the device key, or makes one when there is none. A damaged key is
// moved aside and replaced only when none of the dependents exists; otherwise
// the error wraps ErrDamaged. A key in clear goes into the keeping of the TPM, if
// there is one; one that its TPM does not give back is an error that wraps ErrSealed.
func Open(o Options) (*Device, error) {
	o.complete()
	key, k, err := o.load()
	if err != nil {
		return nil, err
	}
	var id [16]byte
	if _, err := io.ReadFull(o.Rand, id[:]); err != nil {
		return nil, fmt.Errorf("make a boot id: %w", err)
	}
	return &Device{o: o, key: key, kept: k, bootID: hex.EncodeToString(id[:])}, nil
}

func (o *Options) complete() {
	if o.Disk == nil {
		o.Disk = durable.OS
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.TPM != nil && !o.TPM.Present() {
		o.TPM = nil
	}
}

// Share returns the TPM's share of the volume's key; nil: no TPM keeps one.
func (d *Device) Share() api.Secret {
	if d.kept == nil {
		return nil
	}
	return d.kept.share()
}

// Kept returns all that the TPM keeps, for Restore; nil: nothing.
func (d *Device) Kept() api.Secret { return api.Secret(d.kept) }

// Public returns the public half of the key.
func (d *Device) Public() ed25519.PublicKey { return d.key.Public().(ed25519.PublicKey) }

// Fingerprint is what an operator compares before approving the node.
func (d *Device) Fingerprint() string { return api.Fingerprint(d.Public()) }

// BootID returns 32 random hex digits, new with every Open.
func (d *Device) BootID() string { return d.bootID }

// Sign makes a signed message for one connection and nonce.
func (d *Device) Sign(p api.Purpose, body any, binding, nonce []byte) (api.Signed, error) {
	return api.Sign(p, body, binding, nonce, d.Public(), func(m []byte) ([]byte, error) {
		return ed25519.Sign(d.key, m), nil
	})
}

// Post asks the AC for a nonce and posts body, signed, on the same connection.
func (d *Device) Post(ctx context.Context, ex Exchange, path string, p api.Purpose, body, out any) error {
	var challenge api.Challenge
	if err := ex.Post(ctx, api.PathChallenge, struct{}{}, &challenge); err != nil {
		return fmt.Errorf("ask the AC for a nonce: %w", err)
	}
	binding, err := ex.Binding()
	if err != nil {
		return err
	}
	signed, err := d.Sign(p, body, binding, challenge.Nonce)
	if err != nil {
		return err
	}
	if err := ex.Post(ctx, path, signed, out); err != nil {
		return fmt.Errorf("ask the AC for %s: %w", p, err)
	}
	return nil
}
