// Package peercert makes the certificates by which the ACs of a grid prove
// themselves to each other as members of one store.
//
//	ca.key, ca.pem   the peers' own CA: made by the first AC, copied to the others
//	                 by the operator, as the master key is
//	own.key, own.pem this AC's, made anew at a start in the second half of its life
//
// It promises that who holds ca.key is a peer and nobody else is: the grid's
// own CA, whose certificates nodes and operators have, is another one. It
// replaces no CA, and it does not revoke.
package peercert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/ac-mock/keyfile"
)

// Lifetimes. A lost ca.key is answered by a new CA on all ACs at once.
const (
	caLife  = 10 * 365 * 24 * time.Hour
	ownLife = 365 * 24 * time.Hour
	early   = time.Hour // for clocks that are behind
)

// ErrNoCA is wrapped when the CA of the peers is not there and may not be made.
var ErrNoCA = errors.New("the peers' CA is missing")

// Files names the PEM files that a member of the store needs.
type Files struct{ Certificate, Key, CA string }

// In are the files of a folder.
func In(dir string) Files {
	return Files{filepath.Join(dir, "own.pem"), filepath.Join(dir, "own.key"), filepath.Join(dir, "ca.pem")}
}

// CAKey is the CA's key in a folder; it and ca.pem go to every AC.
func CAKey(dir string) string { return filepath.Join(dir, "ca.key") }

// Ensure sees to it that a folder holds a certificate that is good for some
// time, for the host of this AC's peer URL. The CA is made if found says that
// this AC may.
func Ensure(dir, host string, found bool, now time.Time) (Files, error) {
	f := In(dir)
	ca, err := loadCA(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if !found {
			return f, fmt.Errorf("%w: %s and %s: copy them from an AC of the grid, as the master key", ErrNoCA, CAKey(dir), f.CA)
		}
		if err = makeCA(dir, now); err == nil {
			ca, err = loadCA(dir)
		}
	}
	if err != nil || good(f, ca.Leaf, host, now) {
		return f, err
	}
	return f, makeOwn(f, ca, host, now)
}

func loadCA(dir string) (tls.Certificate, error) {
	key, err := keyfile.Read(CAKey(dir))
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := os.ReadFile(In(dir).CA)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("CA of the peers: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("CA of the peers in %s: %w; copy both files anew from another AC", dir, err)
	}
	return pair, nil
}

// good says whether this AC's certificate can be gone on with.
func good(f Files, ca *x509.Certificate, host string, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return false
	}
	half := pair.Leaf.NotBefore.Add(pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore) / 2)
	return pair.Leaf.CheckSignatureFrom(ca) == nil && pair.Leaf.VerifyHostname(host) == nil && now.After(pair.Leaf.NotBefore) && now.Before(half)
}

func makeCA(dir string, now time.Time) error {
	t, err := template("G8OS peers", now, caLife)
	if err != nil {
		return err
	}
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign
	cert, key, err := sign(t, nil)
	if err != nil {
		return err
	}
	if err := keyfile.Create(CAKey(dir), key); err != nil {
		return err
	}
	return replace(In(dir).CA, cert, 0o644)
}

func makeOwn(f Files, ca tls.Certificate, host string, now time.Time) error {
	t, err := template("G8OS peer "+host, now, ownLife)
	if err != nil {
		return err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{host}
	}
	cert, key, err := sign(t, &ca)
	if err != nil {
		return err
	}
	if err := replace(f.Key, key, 0o600); err != nil {
		return err
	}
	return replace(f.Certificate, cert, 0o644)
}

func template(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"G8OS"}, CommonName: name},
		NotBefore: now.Add(-early), NotAfter: now.Add(life),
	}, err
}

// sign makes a key and its certificate, in PEM; without an issuer it signs itself.
func sign(t *x509.Certificate, issuer *tls.Certificate) (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of %s: %w", t.Subject.CommonName, err)
	}
	parent, signer := t, any(k)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, k.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", t.Subject.CommonName, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the key of %s: %w", t.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// replace writes a file whole or not at all.
func replace(path string, text []byte, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
