package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

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
	ops, err := c.newIssuing(keyIssuing, root, key)
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
	c.o.Log.Info("the grid has a CA: take a copy of the root key file, then take it offline", "grid", c.o.Grid, "file", c.o.Root.String())
	return nil
}

// newIssuing makes a new issuing CA, and what has to be written so that it
// is accepted and lies under a key: of the one that signs, or the next. Older
// ones stay accepted until they expire.
func (c *CA) newIssuing(under string, root *x509.Certificate, rootKey crypto.Signer) ([]store.Op, error) {
	key, err := c.o.NewKey()
	if err != nil {
		return nil, fmt.Errorf("make the issuing key: %w", err)
	}
	now := c.o.Clock()
	t, err := c.template(c.o.Grid+" issuing", now, earlier(now.Add(issuingLife), root.NotAfter))
	if err != nil {
		return nil, err
	}
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
		store.Put(under, value),
		store.Put(keyAccepted+serialName(t.SerialNumber), der),
	}, nil
}

// template is of a CA's certificate.
func (c *CA) template(name string, now, until time.Time) (*x509.Certificate, error) {
	serial, err := c.newSerial()
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"G8OS"}, CommonName: name},
		NotBefore:             now.Add(-Backdate),
		NotAfter:              until,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, err
}

// newSerial is 127 random bits: positive, and never used twice.
func (c *CA) newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(c.o.Rand, b); err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b), nil
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
