// Package clienttest is the other end for tests of operators' clients: a server
// with an AC's certificate, and a context that leads to it. It promises real
// TLS and nothing about what an AC answers: that is the test's own handler.
package clienttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// Grid is a CA with which certificates can be made.
type Grid struct {
	testing.TB
	dir  string
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewGrid makes a grid in a folder of the test.
func NewGrid(t testing.TB) *Grid {
	t.Helper()
	g := &Grid{TB: t, dir: t.TempDir()}
	var err error
	if g.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &g.key.PublicKey, g.key)
	if err != nil {
		t.Fatal(err)
	}
	if g.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	g.write("ca.pem", "CERTIFICATE", der)
	return g
}

func (g *Grid) write(name, kind string, der []byte) {
	g.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(g.dir, name), text, 0o600); err != nil {
		g.Fatal(err)
	}
}

// issue makes a certificate that is good until a time.
func (g *Grid) issue(role api.Role, name string, usage x509.ExtKeyUsage, until time.Time) tls.Certificate {
	g.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		g.Fatal(err)
	}
	id := api.Identity{Grid: "test.grid", Role: role, Name: name}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: until.Add(-2 * time.Hour), NotAfter: until,
		URIs: []*url.URL{id.URI()}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, g.root, &key.PublicKey, g.key)
	if err != nil {
		g.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// AC starts a server that is an AC of the grid until a time, and returns its URL.
func (g *Grid) AC(h http.Handler, until time.Time) string {
	g.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{
		Certificates: []tls.Certificate{g.issue(api.RoleAC, "ac1", x509.ExtKeyUsageServerAuth, until)},
		ClientAuth:   tls.RequireAnyClientCert,
	}
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	g.Cleanup(srv.Close)
	return srv.URL
}

// Context writes a context file for an operator and returns its path.
func (g *Grid) Context(name string, urls ...string) string {
	g.Helper()
	c := g.issue(api.RoleOperator, "admin.test", x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		g.Fatal(err)
	}
	g.write("admin.crt", "CERTIFICATE", c.Certificate[0])
	g.write("admin.key", "PRIVATE KEY", key)
	path := filepath.Join(g.dir, name+".toml")
	if err := (client.Context{AC: urls, CA: "ca.pem", Certificate: "admin.crt", Key: "admin.key"}).Save(path, 0o600); err != nil {
		g.Fatal(err)
	}
	return path
}

// Sign makes an operator's certificate for the key in a certificate request, and
// returns it and the grid's root, PEM.
func (g *Grid) Sign(der []byte) (chain, root []byte) {
	g.Helper()
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		g.Fatal(err)
	}
	id := api.Identity{Grid: "test.grid", Role: api.RoleOperator, Name: "operator.test"}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		URIs: []*url.URL{id.URI()}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	made, err := x509.CreateCertificate(rand.Reader, leaf, g.root, csr.PublicKey, g.key)
	if err != nil {
		g.Fatal(err)
	}
	block := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	return block(made), block(g.root.Raw)
}
