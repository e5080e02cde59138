package lab_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// TestMain lets copies of the test binary stand in for the programs of a lab:
// what is tested here is the lab, not what runs in it.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "g8os_core":
		exit(standInCore())
	case "g8os_ac":
		exit(standInAC())
	}
	os.Exit(onOwnHost(m))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// standIns makes a directory with the binaries of a lab.
func standIns(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"g8os_core", "g8os_ac", "gocryptfs"} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var address = regexp.MustCompile(`address = \["([^"]+)"\]`)

// standInCore takes the address of net.toml and says it is managed.
func standInCore() error {
	text, err := os.ReadFile("/etc/g8os/net.toml")
	if err != nil {
		return err
	}
	s := api.Status{Phase: "network", PID: os.Getpid(), Interface: "eth0"}
	if s.Hostname, err = os.Hostname(); err != nil {
		return err
	}
	if err := exec.Command("ip", "link", "set", "eth0", "up").Run(); err != nil {
		return fmt.Errorf("eth0 up: %w", err)
	}
	if m := address.FindSubmatch(text); m != nil {
		s.Phase, s.Way, s.Address, s.ManagedAfterMS = "managed", "configured", string(m[1]), 1
		if out, err := exec.Command("ip", "address", "replace", s.Address, "dev", "eth0").CombinedOutput(); err != nil {
			return fmt.Errorf("address: %w: %s", err, out)
		}
	}
	_ = os.Remove("/run/core.sock")
	l, err := net.Listen("unix", "/run/core.sock")
	if err != nil {
		return err
	}
	fmt.Println("stand-in core is up")
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(s)
		if r.URL.Query().Has("watch") {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
}

var masterKey = regexp.MustCompile(`master_key = "([^"]+)"`)

// standInAC makes a CA (init), or is ready and nothing else (run).
func standInAC() error {
	text, err := os.ReadFile(os.Args[3])
	if err != nil {
		return err
	}
	dir := filepath.Join(filepath.Dir(string(masterKey.FindSubmatch(text)[1])), "operators")
	if os.Args[1] == "init" {
		return makeCA(dir)
	}
	cert, err := leaf(dir)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", ":8966", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

func makeCA(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func leaf(dir string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		return pair, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair, err
	}
	id, _ := url.Parse("spiffe://t/ac/ac1")
	c := &x509.Certificate{SerialNumber: big.NewInt(2), URIs: []*url.URL{id}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, pair.Leaf, key.Public(), pair.PrivateKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
