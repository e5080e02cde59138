package peercert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

// verified says whether one AC's certificate proves it to another one.
func verified(t *testing.T, own, other Files, host string, at time.Time) error {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(own.Certificate, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(other.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

// Two ACs with copies of one CA prove themselves to each other; one with a CA
// of its own does not.
func TestPeers(t *testing.T) {
	first, second, alien := t.TempDir(), t.TempDir(), t.TempDir()
	a, err := Ensure(first, "192.0.2.1", true, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(second, "192.0.2.2", false, now); !errors.Is(err, ErrNoCA) {
		t.Fatalf("an AC that joins makes a CA: %v", err)
	}
	for _, name := range []string{"ca.key", "ca.pem"} {
		text, err := os.ReadFile(filepath.Join(first, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(second, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := Ensure(second, "ac2.example", false, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Ensure(alien, "192.0.2.3", true, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(verified(t, a, b, "192.0.2.1", now), verified(t, b, a, "ac2.example", now)); err != nil {
		t.Error(err)
	}
	if verified(t, c, a, "192.0.2.3", now) == nil {
		t.Error("a stranger with a CA of his own is a peer")
	}
}

// A certificate is kept while it is good for its host, and made anew in the
// second half of its life.
func TestOwnIsRenewed(t *testing.T) {
	dir := t.TempDir()
	own := func(host string, at time.Time) string {
		f, err := Ensure(dir, host, true, at)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(f.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := own("192.0.2.1", now)
	if own("192.0.2.1", now.Add(ownLife/3)) != first {
		t.Error("it is made anew although it is good")
	}
	if own("192.0.2.1", now.Add(ownLife*2/3)) == first {
		t.Error("it is not made anew in the second half of its life")
	}
	if kept := own("192.0.2.9", now.Add(ownLife*2/3)); verified(t, In(dir), In(dir), "192.0.2.9", now.Add(ownLife*2/3)) != nil || kept == first {
		t.Error("it is not made anew for another host")
	}
}
