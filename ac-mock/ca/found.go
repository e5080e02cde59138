package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"time"

	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/ac-mock/store"
)

// Keys in the store.
const (
	prefix      = "ca/"
	keyRoot     = prefix + "root"      // DER
	keyIssuing  = prefix + "issuing"   // issuing
	keyAccepted = prefix + "accepted/" // + serial: DER
)

// issuing is the CA that signs, as it is stored.
type issuing struct {
	Certificate []byte `json:"certificate"` // DER
	Key         []byte `json:"key"`         // PKCS #8, sealed for keyIssuing and the certificate's serial
}

// found makes root and issuing CA where the store has none. Two ACs may try at
// once: one wins, the other takes what it finds.
func (c *CA) found(ctx context.Context) error {
	_, err := c.o.Store.Get(ctx, keyRoot)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	root, key, err := c.rootKey(true)
	if err != nil {
		return err
	}
	ops, err := c.newIssuing(root, key)
	if err != nil {
		return err
	}
	_, err = c.o.Store.Txn(ctx, store.Txn{
		If:   []store.Cond{{Key: keyRoot}, {Key: keyIssuing}},
		Then: append(ops, store.Put(keyRoot, root.Raw)),
	})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("found the CA of grid %s: %w", c.o.Grid, err)
	}
	c.o.Log.Info("the grid has a CA: take a copy of the root key file, then take it offline", "grid", c.o.Grid, "file", c.o.RootKey)
	return nil
}

// rootKey reads the root key file, or makes it.
func (c *CA) rootKey(create bool) (*x509.Certificate, crypto.Signer, error) {
	if err := keyfile.Outside(c.o.RootKey, c.o.DataDir); err != nil {
		return nil, nil, err
	}
	text, err := keyfile.Read(c.o.RootKey)
	if errors.Is(err, fs.ErrNotExist) && create {
		text, err = c.makeRoot()
	}
	if err != nil {
		return nil, nil, err
	}
	cert, key, err := decodePair(text)
	if err != nil {
		return nil, nil, fmt.Errorf("root key file %s: %w; restore it from its copy", c.o.RootKey, err)
	}
	return cert, key, nil
}

func (c *CA) makeRoot() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the root key: %w", err)
	}
	now := c.o.Clock()
	t := caTemplate(c.o.Grid+" root", now, now.Add(rootLife))
	t.MaxPathLen = 1
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the root certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the root key: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	return text, keyfile.Create(c.o.RootKey, text)
}

// newIssuing makes a new issuing CA, and what has to be written so that it
// signs and is accepted. Older ones stay accepted until they expire.
func (c *CA) newIssuing(root *x509.Certificate, rootKey crypto.Signer) ([]store.Op, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the issuing key: %w", err)
	}
	now := c.o.Clock()
	t := caTemplate(c.o.Grid+" issuing", now, earlier(now.Add(issuingLife), root.NotAfter))
	t.MaxPathLenZero = true
	t.PermittedURIDomains, t.PermittedDNSDomainsCritical = []string{c.o.Grid}, true
	der, err := x509.CreateCertificate(rand.Reader, t, root, key.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("sign the issuing certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the issuing key: %w", err)
	}
	sealed, err := c.o.Seal.Seal(keyIssuing, generation(t.SerialNumber), pkcs8)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(issuing{Certificate: der, Key: sealed})
	if err != nil {
		return nil, fmt.Errorf("encode the issuing CA: %w", err)
	}
	return []store.Op{
		store.Put(keyIssuing, value),
		store.Put(keyAccepted+serialName(t.SerialNumber), der),
	}, nil
}

func caTemplate(name string, now, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{Organization: []string{"G8OS"}, CommonName: name},
		NotBefore:             now.Add(-Backdate),
		NotAfter:              until,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// newSerial is 127 random bits: positive, and never used twice.
func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func serialName(n *big.Int) string { return fmt.Sprintf("%032x", n) }

// generation makes a number for sealing out of a serial.
func generation(serial *big.Int) uint64 { return serial.Uint64() }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func encodeCert(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func decodePair(text []byte) (cert *x509.Certificate, key crypto.Signer, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			cert, err = x509.ParseCertificate(block.Bytes)
		case "PRIVATE KEY":
			key, err = parseKey(block.Bytes)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if cert == nil || key == nil {
		return nil, nil, errors.New("want a PRIVATE KEY and a CERTIFICATE in PEM")
	}
	if public, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, nil, errors.New("key and certificate do not belong together")
	}
	return cert, key, nil
}

func parseKey(pkcs8 []byte) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key: a %T cannot sign", k)
	}
	return signer, nil
}
