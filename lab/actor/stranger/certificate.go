package stranger

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// SelfSigned is what anybody can make: one certificate that vouches for
// itself, for any address.
func SelfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	c := template(1, "stranger")
	c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{{10, 254, 254, 254}}
	return issue(c, c, key, key)
}

// Impostor is what somebody makes who knows how this grid works: a CA of its
// own, and a leaf that says it is an AC of the grid. All is right with it but
// that nobody pinned its CA.
func Impostor(grid string) (tls.Certificate, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	ca := template(1, grid+" root CA")
	ca.IsCA, ca.KeyUsage, ca.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	root, err := issue(ca, ca, caKey, caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf := template(2, "ac1")
	leaf.URIs = []*url.URL{{Scheme: "spiffe", Host: grid, Path: "/ac/ac1"}}
	leaf.IPAddresses = []net.IP{{10, 254, 254, 254}}
	cert, err := issue(leaf, ca, key, caKey)
	cert.Certificate = append(cert.Certificate, root.Certificate...)
	return cert, err
}

func template(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
}

func issue(c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate for %s: %w", c.Subject.CommonName, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
