package etcd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/ac-mock/store/storetest"
)

// foreign starts an etcd that is not ours, and returns where its clients go.
func foreign(t *testing.T) string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.TickMs, cfg.ElectionMs = t.TempDir(), 20, 200
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(storetest.Patience):
		t.Fatal("etcd does not start")
	}
	return "http://" + e.Clients[0].Addr().String()
}

// One code path: the suite also holds over a network, in a cluster that is
// shared by prefix.
func TestConformanceRemote(t *testing.T) {
	endpoint := foreign(t)
	n := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		n++
		ctx, cancel := context.WithTimeout(context.Background(), storetest.Patience)
		defer cancel()
		s, err := etcd.Dial(ctx, etcd.DialOptions{Endpoints: []string{endpoint}, Prefix: fmt.Sprintf("grid-%02d/", n)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestDialNobody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := etcd.Dial(ctx, etcd.DialOptions{Endpoints: []string{"http://127.0.0.1:1"}})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Fatalf("got %v, want an error that names the endpoint", err)
	}
}

// A member that was alone gets a peer URL later, keeps its data, and then
// listens for peers.
func TestAloneThenWithPeers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("k", []byte("v"))}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid() // nobody else takes ports of an address of this process's own
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>16&63, pid>>8&255, pid&255))
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = etcd.Open(t.Context(), etcd.Options{Dir: dir, PeerURL: "https://" + addr, PeerTLS: peerTLS(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if kv, err := s.Get(t.Context(), "k"); err != nil || string(kv.Value) != "v" {
		t.Fatalf("k=%s, %v", kv.Value, err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("nobody listens for peers: %v", err)
	}
	_ = c.Close()
}

// peerTLS makes files for one member that is its own CA.
func peerTLS(t *testing.T) etcd.PeerTLS {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := etcd.PeerTLS{Certificate: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "crt")}
	for path, block := range map[string]*pem.Block{
		files.Certificate: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
