package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"

	"github.com/g8os/g8os/ac-mock/keyfile"
)

// Root keeps the root's key and certificate, in PEM.
type Root interface {
	// Read returns them; an error that wraps fs.ErrNotExist when there are none.
	Read() ([]byte, error)
	// Create keeps them, durably, and replaces none.
	Create(text []byte) error
	// String says where they lie.
	String() string
}

// rootFile is a key file outside of the data folder.
type rootFile struct{ path, dataDir string }

func (f rootFile) Read() ([]byte, error) {
	if err := keyfile.Outside(f.path, f.dataDir); err != nil {
		return nil, err
	}
	return keyfile.Read(f.path)
}

func (f rootFile) Create(text []byte) error { return keyfile.Create(f.path, text) }

func (f rootFile) String() string { return f.path }

// rootKey reads the root, or makes it.
func (c *CA) rootKey(create bool) (*x509.Certificate, crypto.Signer, error) {
	text, err := c.o.Root.Read()
	if errors.Is(err, fs.ErrNotExist) && create {
		text, err = c.makeRoot()
	}
	if err != nil {
		return nil, nil, err
	}
	cert, key, err := decodePair(text)
	if err != nil {
		return nil, nil, fmt.Errorf("root key file %s: %w; restore it from its copy", c.o.Root, err)
	}
	return cert, key, nil
}

func (c *CA) makeRoot() ([]byte, error) {
	key, err := c.o.NewKey()
	if err != nil {
		return nil, fmt.Errorf("make the root key: %w", err)
	}
	now := c.o.Clock()
	t, err := c.template(c.o.Grid+" root", now, now.Add(rootLife))
	if err != nil {
		return nil, err
	}
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
	return text, c.o.Root.Create(text)
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
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.PublicKey) {
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
