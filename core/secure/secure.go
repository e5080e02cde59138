// Package secure keeps a node's client certificate: it reads it from the
// private volume, asks the AC for one, and says when to renew.
//
//	ssl/current       ─▶ a4f01c…/  one folder for a key and its certificate: they
//	ssl/client.key    ─▶ current/  change together, by one rename of one link,
//	ssl/client.crt    ─▶ current/  and are never a mismatched pair
//	ssl/accepted.pem  ─▶ current/
//
// It promises that the private key never leaves the node, that what the AC
// sends is checked before it replaces anything, and that what a wrong clock may
// be to blame for has an error of its own: whoever gets it compares the clock
// first. It is not the TLS configuration of a session (core/managed).
package secure

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// Names of the files in the folder, as an operator finds them.
const (
	KeyFile      = "client.key"   // PEM, PKCS #8, mode 0600
	ChainFile    = "client.crt"   // PEM, leaf first
	AcceptedFile = "accepted.pem" // PEM, may be empty
)

// Why a certificate cannot be used. All are healed by Obtain; ErrNotYet only
// where the clock has been compared with the AC's (core/find): our clock is
// behind, or the clock of whoever issued it was ahead.
var (
	ErrMissing = errors.New("client certificate is missing")
	ErrDamaged = errors.New("client certificate or key is damaged")
	ErrExpired = errors.New("client certificate has expired")
	ErrNotYet  = errors.New("client certificate is not valid yet: our clock or its AC's is wrong")
	ErrOther   = errors.New("client certificate belongs to somebody else")
)

// Credentials is what a node shows, and what it accepts.
type Credentials struct {
	Certificate tls.Certificate     // key and chain, Leaf set
	Leaf        *x509.Certificate   // the node's own
	Accepted    []*x509.Certificate // CAs to accept for ACs, beside the pinned one
}

// Load reads the certificate in dir (/mnt/etc/ssl) and checks it for node id
// as of now. Errors wrap one of the reasons above.
func Load(d durable.Disk, dir string, id api.Identity, now time.Time) (Credentials, error) {
	c, err := read(d, dir)
	if err == nil {
		err = c.check(id, now)
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("client certificate in %s: %w", dir, err)
	}
	return c, nil
}

func read(d durable.Disk, dir string) (Credentials, error) {
	var files [3][]byte
	for i, name := range []string{KeyFile, ChainFile, AcceptedFile} {
		raw, err := d.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return Credentials{}, fmt.Errorf("%w: %w", ErrMissing, err)
		}
		if err != nil {
			return Credentials{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		files[i] = raw
	}
	return parse(files[0], files[1], files[2])
}

// parse also sees that the key is the certificate's (tls.X509KeyPair).
func parse(key, chain, accepted []byte) (Credentials, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return Credentials{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	cas, err := parseCertificates(accepted)
	if err != nil {
		return Credentials{}, fmt.Errorf("%w: accepted CAs: %w", ErrDamaged, err)
	}
	return Credentials{Certificate: pair, Leaf: pair.Leaf, Accepted: cas}, nil
}

// parseCertificates reads PEM certificates and nothing else.
func parseCertificates(raw []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for len(bytes.TrimSpace(raw)) > 0 {
		block, rest := pem.Decode(raw)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("is not PEM certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all, raw = append(all, c), rest
	}
	return all, nil
}

func (c Credentials) check(id api.Identity, now time.Time) error {
	switch got, err := api.ParseIdentity(c.Leaf.URIs); {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case got != id:
		return fmt.Errorf("%w: to %s, this is %s", ErrOther, got, id)
	case now.Before(c.Leaf.NotBefore):
		return fmt.Errorf("%w: it begins %s, now is %s", ErrNotYet, stamp(c.Leaf.NotBefore), stamp(now))
	case now.After(c.Leaf.NotAfter):
		return fmt.Errorf("%w: at %s, now is %s", ErrExpired, stamp(c.Leaf.NotAfter), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// RenewAt returns when to ask for the next certificate: half way between from
// and its end, up to 10 % of that half sooner or later by seed, so that a fleet
// does not come at once (SPIRE's rule, pkg/common/rotationutil). From is when
// it was issued: now for a new one. Its own beginning is earlier, for clocks
// that are behind, and would have a short-lived one renewed without end.
func RenewAt(leaf *x509.Certificate, from time.Time, seed uint64) time.Time {
	half := leaf.NotAfter.Sub(from) / 2
	spread := max(half/10, 0)
	shift := time.Duration(seed%uint64(2*spread+1)) - spread
	return from.Add(half + shift)
}
