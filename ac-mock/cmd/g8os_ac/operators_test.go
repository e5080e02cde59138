package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// another makes one more admin by way of the first, and returns the client of
// the new one.
func another(t *testing.T, first *client.Client, c client.Context) *client.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := first.AddOperator(t.Context(), api.OperatorRequest{Name: "ann", Role: "admin", CSR: csr, ForMS: time.Hour.Milliseconds()})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c.Certificate, c.Key = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for path, text := range map[string][]byte{c.Certificate: made.Chain, c.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ann, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ann.Close)
	return ann
}

// The first admin is there at the first start; revoked by another one he stays
// so, also after a restart; the last one cannot be.
func TestFirstAdminRevoked(t *testing.T) {
	path, addr := folder(t, small), freeAddr(t)
	end := begin(t, path, addr)
	c, err := client.Load(filepath.Join(filepath.Dir(path), "keys", "operators", "admin.toml"))
	if err != nil {
		t.Fatal(err)
	}
	c.AC = []string{"https://" + addr}
	first, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	list, err := first.Operators(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "first" || list[0].Role != "admin" {
		t.Fatalf("operators of a new grid: %+v, %v", list, err)
	}
	ann := another(t, first, c)
	before, err := os.ReadFile(c.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ann.RevokeOperator(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Nodes(t.Context()); err == nil {
		t.Error("revoked, he still sees the nodes")
	}
	if code := end(); code != 0 {
		t.Fatalf("it ends with %d", code)
	}
	end = begin(t, path, addr)
	defer end()
	after, err := os.ReadFile(c.Certificate)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("after a restart he has another certificate: %v", err)
	}
	if list, err := ann.Operators(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("the other admin sees %+v, %v", list, err)
	}
	if _, err := ann.RevokeOperator(t.Context(), "ann"); err == nil {
		t.Error("the last admin revoked himself")
	}
}
