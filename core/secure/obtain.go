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
	"io"
	"io/fs"
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
	Disk   durable.Disk   // nil: durable.OS
	Rand   io.Reader      // of the key; nil: crypto/rand
}

// Obtain makes a key, has the AC certify it, checks the answer, and only then
// replaces what is in dir. Errors wrap api.ErrRefused, ErrAnswer, or ErrNotYet
// (with ErrAnswer: the clocks of node and AC disagree; compare them).
func Obtain(ctx context.Context, ex device.Exchange, dev *device.Device, r Request) (Credentials, api.Settings, error) {
	if r.Disk == nil {
		r.Disk = durable.OS
	}
	if r.Rand == nil {
		r.Rand = rand.Reader
	}
	key, err := makeKey(r.Rand)
	if err != nil {
		return Credentials{}, api.Settings{}, fmt.Errorf("make a client key: %w", err)
	}
	// No source: the signature follows from key and request (RFC 6979).
	csr, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, key)
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
	if err := store(r.Disk, r.Dir, keyPEM, issued); err != nil {
		return Credentials{}, api.Settings{}, fmt.Errorf("store the client certificate: %w", err)
	}
	return c, issued.Settings, nil
}

// makeKey makes a P-256 key that follows from the source alone, as
// ecdsa.GenerateKey does not: a number out of range is drawn again (FIPS 186-5,
// A.2.2).
func makeKey(source io.Reader) (*ecdsa.PrivateKey, error) {
	var raw [32]byte
	defer clear(raw[:])
	for {
		if _, err := io.ReadFull(source, raw[:]); err != nil {
			return nil, err
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw[:]); err == nil {
			return key, nil
		}
	}
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
func store(d durable.Disk, dir string, key []byte, issued api.Issued) error {
	sum := sha256.Sum256(issued.Chain)
	name := hex.EncodeToString(sum[:8])
	fresh := filepath.Join(dir, name)
	if err := durable.MkdirAll(d, fresh, 0o700); err != nil {
		return err
	}
	err := durable.WriteAll(d, fresh, durable.New{Name: KeyFile, Data: key, Mode: 0o600},
		durable.New{Name: ChainFile, Data: issued.Chain, Mode: 0o644}, durable.New{Name: AcceptedFile, Data: issued.Accepted, Mode: 0o644})
	if err != nil {
		return err
	}
	if err := durable.Symlink(d, name, filepath.Join(dir, current)); err != nil {
		return err
	}
	if err := links(d, dir); err != nil {
		return err
	}
	return forget(d, dir, name)
}

// links makes the links that lead to the current pair, where they are not
// there: they are made once, so that only one switch is ever needed.
func links(d durable.Disk, dir string) error {
	made := false
	for _, n := range []string{KeyFile, ChainFile, AcceptedFile} {
		target, path := filepath.Join(current, n), filepath.Join(dir, n)
		got, err := d.Readlink(path)
		switch {
		case err == nil && got == target:
			continue
		case errors.Is(err, fs.ErrNotExist):
			err, made = d.Symlink(target, path), true
		default:
			err = durable.Symlink(d, target, path)
		}
		if err != nil {
			return err
		}
	}
	if !made {
		return nil
	}
	return durable.SyncDir(d, dir)
}

// forget removes every pair but one, with its private key.
func forget(d durable.Disk, dir, keep string) error {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := hex.DecodeString(e.Name()); err == nil && e.IsDir() && e.Name() != keep {
			if err := d.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
