package secure

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/device"
)

var (
	start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	node  = api.Identity{Grid: "lab", Role: api.RoleNode, Name: "020000000001"}
)

// ac is a CA behind one connection.
type ac struct {
	root   *x509.Certificate
	key    *ecdsa.PrivateKey
	nonce  []byte
	change func(*x509.Certificate) // what is wrong with what it issues
	answer func(*api.Issued)
	refuse error
	last   map[string]uint64 // counter by device key
}

func newAC(t *testing.T) *ac {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a := &ac{key: key, last: map[string]uint64{}, nonce: bytes.Repeat([]byte{1}, api.NonceSize)}
	a.root = &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start.AddDate(-1, 0, 0), NotAfter: start.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, a.root, a.root, &key.PublicKey, key)
	must(t, err)
	a.root, err = x509.ParseCertificate(der)
	must(t, err)
	return a
}

func (a *ac) Binding() ([]byte, error) { return bytes.Repeat([]byte{2}, 32), nil }

func (a *ac) Post(_ context.Context, path string, in, out any) error {
	if path == api.PathChallenge {
		out.(*api.Challenge).Nonce = a.nonce
		return nil
	}
	if a.refuse != nil {
		return a.refuse
	}
	var body api.CSR
	if err := in.(api.Signed).Verify(api.PurposeCertificate, bytes.Repeat([]byte{2}, 32), a.nonce, &body); err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(body.DER)
	if err != nil || csr.CheckSignature() != nil || string(body.NodeID) != node.Name {
		return errors.New("bad request")
	}
	device := string(in.(api.Signed).DeviceKey)
	if body.Counter <= a.last[device] || len(body.BootID) != 32 {
		return errors.New("counter does not grow")
	}
	a.last[device] = body.Counter
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: start, NotAfter: start.Add(120 * time.Hour), URIs: []*url.URL{node.URI()},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, PublicKey: csr.PublicKey}
	if a.change != nil {
		a.change(leaf)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.root, leaf.PublicKey, a.key)
	issued := api.Issued{Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), NotAfter: leaf.NotAfter,
		Settings: api.Settings{AuthorizedKeys: []string{"ssh-ed25519 AAAA ann"}}}
	if a.answer != nil {
		a.answer(&issued)
	}
	*out.(*api.Issued) = issued
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func request(t *testing.T, a *ac) (Request, *device.Device) {
	dir := t.TempDir()
	dev, err := device.Open(device.Options{Dir: filepath.Join(dir, "g8os")})
	must(t, err)
	pinned := x509.NewCertPool()
	pinned.AddCert(a.root)
	return Request{Dir: filepath.Join(dir, "ssl"), ID: node, Pinned: pinned, Now: start.Add(time.Hour)}, dev
}

func TestObtainThenLoad(t *testing.T) {
	a := newAC(t)
	r, dev := request(t, a)
	if _, err := Load(durable.OS, r.Dir, node, r.Now); !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
	var last *x509.Certificate
	for range 3 { // the second and third are renewals
		got, settings, err := Obtain(t.Context(), a, dev, r)
		must(t, err)
		loaded, err := Load(durable.OS, r.Dir, node, r.Now)
		must(t, err)
		if !loaded.Leaf.Equal(got.Leaf) || last != nil && last.Equal(got.Leaf) || len(settings.AuthorizedKeys) != 1 {
			t.Fatal("what was obtained is not what was loaded, or is old")
		}
		last = got.Leaf
	}
	folders, keys := 0, 0
	must(t, filepath.WalkDir(r.Dir, func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && path != r.Dir {
			folders++
		}
		if d.Name() == KeyFile && d.Type().IsRegular() {
			keys++
			if st, _ := d.Info(); st.Mode().Perm() != 0o600 {
				t.Errorf("key has mode %v", st.Mode())
			}
		}
		return err
	}))
	if folders != 1 || keys != 1 {
		t.Errorf("%d folders and %d keys are left", folders, keys)
	}
}

func TestLoadTellsWhatIsWrongAndObtainHeals(t *testing.T) {
	a := newAC(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(other)
	must(t, err)
	strange := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, c := range []struct {
		name string
		do   func(dir string) error
		now  time.Time
		id   api.Identity
		want error
	}{
		{"key damaged", func(d string) error { return os.WriteFile(d+"/client.key", []byte("x"), 0o600) }, start, node, ErrDamaged},
		{"key truncated", func(d string) error { return os.Truncate(d+"/client.key", 0) }, start, node, ErrDamaged},
		{"key of another", func(d string) error { return os.WriteFile(d+"/client.key", strange, 0o600) }, start, node, ErrDamaged},
		{"key replaced by a plain file", func(d string) error {
			return errors.Join(os.Remove(d+"/client.key"), os.WriteFile(d+"/client.key", strange, 0o600))
		}, start, node, ErrDamaged},
		{"certificate damaged", func(d string) error { return os.Truncate(d+"/client.crt", 100) }, start, node, ErrDamaged},
		{"accepted damaged", func(d string) error { return os.WriteFile(d+"/accepted.pem", []byte("x"), 0o600) }, start, node, ErrDamaged},
		{"key removed", func(d string) error { return os.Remove(d + "/client.key") }, start, node, ErrMissing},
		{"folder removed", os.RemoveAll, start, node, ErrMissing},
		{"link dangles", func(d string) error { return os.Remove(d + "/current") }, start, node, ErrMissing},
		{"expired", nil, start.Add(121 * time.Hour), node, ErrExpired},
		{"not yet valid", nil, start.Add(-time.Hour), node, ErrNotYet},
		{"another node", nil, start, api.Identity{Grid: "lab", Role: api.RoleNode, Name: "020000000002"}, ErrOther},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, dev := request(t, a)
			_, _, err := Obtain(t.Context(), a, dev, r)
			must(t, err)
			if c.do != nil {
				must(t, c.do(r.Dir))
			}
			if _, err := Load(durable.OS, r.Dir, c.id, c.now); !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			_, _, err = Obtain(t.Context(), a, dev, r)
			must(t, err)
			_, err = Load(durable.OS, r.Dir, node, r.Now)
			must(t, err)
		})
	}
}

func TestAnAnswerThatCannotBeUsedReplacesNothing(t *testing.T) {
	stranger := newAC(t)
	for name, c := range map[string]struct {
		do   func(*ac)
		want error
	}{
		"refused":       {func(a *ac) { a.refuse = api.ErrRefused }, api.ErrRefused},
		"another key":   {func(a *ac) { a.change = func(c *x509.Certificate) { c.PublicKey = &stranger.key.PublicKey } }, ErrAnswer},
		"another node":  {func(a *ac) { a.change = func(c *x509.Certificate) { c.URIs[0].Path = "/node/020000000002" } }, ErrAnswer},
		"expired":       {func(a *ac) { a.change = func(c *x509.Certificate) { c.NotAfter = start.Add(time.Minute) } }, ErrAnswer},
		"not yet valid": {func(a *ac) { a.change = func(c *x509.Certificate) { c.NotBefore = start.Add(2 * time.Hour) } }, ErrNotYet},
		"for servers":   {func(a *ac) { a.change = func(c *x509.Certificate) { c.ExtKeyUsage[0] = x509.ExtKeyUsageServerAuth } }, ErrAnswer},
		"unknown CA":    {func(a *ac) { a.root, a.key = stranger.root, stranger.key }, ErrAnswer},
		"garbage":       {func(a *ac) { a.answer = func(i *api.Issued) { i.Chain = []byte("garbage") } }, ErrAnswer},
		"empty":         {func(a *ac) { a.answer = func(i *api.Issued) { *i = api.Issued{} } }, ErrAnswer},
		"bad accepted":  {func(a *ac) { a.answer = func(i *api.Issued) { i.Accepted = []byte("garbage") } }, ErrAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAC(t)
			r, dev := request(t, a)
			before, _, err := Obtain(t.Context(), a, dev, r)
			must(t, err)
			c.do(a)
			if _, _, err := Obtain(t.Context(), a, dev, r); !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			after, err := Load(durable.OS, r.Dir, node, r.Now)
			if err != nil || !after.Leaf.Equal(before.Leaf) {
				t.Fatalf("replaced: %v", err)
			}
		})
	}
}

func TestAKillBeforeTheSwitchKeepsTheOldPair(t *testing.T) {
	a := newAC(t)
	r, dev := request(t, a)
	before, _, err := Obtain(t.Context(), a, dev, r)
	must(t, err)
	must(t, os.Mkdir(filepath.Join(r.Dir, "00ff00ff00ff00ff"), 0o700)) // all that a killed Obtain leaves
	must(t, os.WriteFile(filepath.Join(r.Dir, "00ff00ff00ff00ff", KeyFile), []byte("new key"), 0o600))
	must(t, os.Symlink("00ff00ff00ff00ff", filepath.Join(r.Dir, "current.new")))
	after, err := Load(durable.OS, r.Dir, node, r.Now)
	if err != nil || !after.Leaf.Equal(before.Leaf) {
		t.Fatal(err)
	}
	_, _, err = Obtain(t.Context(), a, dev, r)
	must(t, err)
	if _, err := os.Stat(filepath.Join(r.Dir, "00ff00ff00ff00ff")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a stray key is left")
	}
}

func TestRenewAtIsHalfLifeWithinTenPercent(t *testing.T) {
	leaf := &x509.Certificate{NotBefore: start, NotAfter: start.Add(100 * time.Hour)}
	seen := map[time.Time]bool{}
	for seed := range uint64(1000) {
		at := RenewAt(leaf, leaf.NotBefore, seed*0x9E3779B97F4A7C15)
		if at.Before(start.Add(45*time.Hour)) || at.After(start.Add(55*time.Hour)) {
			t.Fatalf("seed %d: %v", seed, at)
		}
		seen[at] = true
	}
	if len(seen) < 900 {
		t.Errorf("only %d instants for 1000 nodes", len(seen))
	}
	if at := RenewAt(&x509.Certificate{NotBefore: start, NotAfter: start}, start, 7); !at.Equal(start) {
		t.Errorf("no life: %v", at)
	}
}

// A certificate that lives for less than it is backdated is not renewed the
// moment it is there.
func TestShortLifeIsNotRenewedAtOnce(t *testing.T) {
	leaf := &x509.Certificate{NotBefore: start.Add(-5 * time.Minute), NotAfter: start.Add(20 * time.Second)}
	for seed := range uint64(100) {
		if at := RenewAt(leaf, start, seed*0x9E3779B97F4A7C15); at.Sub(start) < 9*time.Second || at.Sub(start) > 11*time.Second {
			t.Fatalf("renewed %v after it was issued", at.Sub(start))
		}
	}
}
