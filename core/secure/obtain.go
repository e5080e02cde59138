package secure

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/device"
)

// ErrAnswer is wrapped when what the AC issued cannot be used; nothing was
// replaced.
var ErrAnswer = errors.New("the AC's answer cannot be used")

// current is the link to the folder in use.
const current = "current"

// Request says for whom a certificate is wanted, and where it goes.
type Request struct {
	Dir    string         // /mnt/etc/ssl
	ID     api.Identity   // the node: Identity{grid, RoleNode, string(nodeID)}
	Pinned *x509.CertPool // CAs pinned in the image
	Now    time.Time      // by the node's clock, set right where it was plainly wrong
}

// Obtain makes a key, has the AC certify it, checks the answer, and only then
// replaces what is in dir. Errors wrap api.ErrRefused, ErrAnswer, or ErrNotYet
// (with ErrAnswer: the clocks of node and AC disagree).
func Obtain(ctx context.Context, ex device.Exchange, dev *device.Device, r Request) (Credentials, api.Settings, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Credentials{}, api.Settings{}, fmt.Errorf("make a client key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return Credentials{}, api.Settings{}, fmt.Errorf("make a certificate request: %w", err)
	}
	counter, err := dev.NextCounter()
	if err != nil {
		return Credentials{}, api.Settings{}, err
	}
	var issued api.Issued
	body := api.CSR{NodeID: api.NodeID(r.ID.Name), DER: csr, BootID: dev.BootID(), Counter: counter}
	if err := dev.Post(ctx, ex, api.PathCertificate, api.PurposeCertificate, body, &issued); err != nil {
		return Credentials{}, api.Settings{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Credentials{}, api.Settings{}, fmt.Errorf("write the client key: %w", err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	c, err := accept(keyPEM, issued, r)
	if err != nil {
		return Credentials{}, api.Settings{}, fmt.Errorf("%w: certificate: %w", ErrAnswer, err)
	}
	if err := store(r.Dir, keyPEM, issued); err != nil {
		return Credentials{}, api.Settings{}, fmt.Errorf("store the client certificate: %w", err)
	}
	return c, issued.Settings, nil
}

// accept checks what came back: it certifies our key, as this node, now, and
// its chain ends in a CA that this grid's nodes know.
func accept(key []byte, issued api.Issued, r Request) (Credentials, error) {
	c, err := parse(key, issued.Chain, issued.Accepted)
	if err != nil {
		return Credentials{}, err
	}
	if err := c.check(r.ID, r.Now); err != nil {
		return Credentials{}, err
	}
	chain, err := parseCertificates(issued.Chain)
	if err != nil {
		return Credentials{}, err
	}
	roots := r.Pinned.Clone()
	for _, ca := range c.Accepted {
		roots.AddCert(ca)
	}
	_, err = api.VerifyClient(chain, roots, r.Now)
	return c, err
}

// store writes a folder of its own for the pair, then switches to it. A kill
// before the switch leaves the old pair, one after it the new one.
func store(dir string, key []byte, issued api.Issued) error {
	sum := sha256.Sum256(issued.Chain)
	name := hex.EncodeToString(sum[:8])
	fresh := filepath.Join(dir, name)
	if err := durable.MkdirAll(fresh, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
		mode    os.FileMode
	}{{KeyFile, key, 0o600}, {ChainFile, issued.Chain, 0o644}, {AcceptedFile, issued.Accepted, 0o644}} {
		if err := durable.Write(filepath.Join(fresh, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	if err := durable.Symlink(name, filepath.Join(dir, current)); err != nil {
		return err
	}
	for _, n := range []string{KeyFile, ChainFile, AcceptedFile} {
		if err := link(filepath.Join(current, n), filepath.Join(dir, n)); err != nil {
			return err
		}
	}
	return forget(dir, name)
}

// link makes a link that leads to the current pair, unless it is there: the
// three are made once, so that only one switch is ever needed.
func link(target, path string) error {
	if got, err := os.Readlink(path); err == nil && got == target {
		return nil
	}
	return durable.Symlink(target, path)
}

// forget removes every pair but one, with its private key.
func forget(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := hex.DecodeString(e.Name()); err == nil && e.IsDir() && e.Name() != keep {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
