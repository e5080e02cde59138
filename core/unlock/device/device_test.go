package device

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/g8os/g8os/core/api"
)

func open(t *testing.T, dir string, dependents ...string) *Device {
	t.Helper()
	d, err := Open(Options{Dir: dir, Dependents: dependents})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "g8os")
	first, second := open(t, dir), open(t, dir)
	if !first.Public().Equal(second.Public()) {
		t.Error("the second start has another key")
	}
	if first.BootID() == second.BootID() || len(first.BootID()) != 32 {
		t.Errorf("boot ids %q and %q", first.BootID(), second.BootID())
	}
	st, err := os.Stat(filepath.Join(dir, KeyFile))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", st.Mode(), err)
	}
}

func TestDamagedKeyIsNeverReplacedWhereSomethingDependsOnIt(t *testing.T) {
	for _, damage := range []string{"", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		dir := t.TempDir()
		before := open(t, dir)
		path, slots := filepath.Join(dir, KeyFile), filepath.Join(dir, "keyslots")
		os.WriteFile(path, []byte(damage), 0o600)
		os.WriteFile(slots, nil, 0o600)
		if _, err := Open(Options{Dir: dir, Dependents: []string{slots}}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("damage %q: %v", damage, err)
		}
		if left, _ := os.ReadFile(path); string(left) != damage {
			t.Fatalf("the damaged key was touched: %q", left)
		}
		os.Remove(slots)
		if after := open(t, dir, slots); after.Public().Equal(before.Public()) {
			t.Fatal("no new key was made")
		}
		if kept, _ := os.ReadFile(path + ".broken"); string(kept) != damage {
			t.Fatalf("the damaged key was not kept: %q", kept)
		}
	}
}

func TestCounterOnlyGrows(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, CounterFile)
	last := uint64(0)
	next := func(what string) {
		t.Helper()
		n, err := open(t, dir).NextCounter() // every time a restart
		if err != nil || n <= last {
			t.Fatalf("%s: %d after %d, %v", what, n, last, err)
		}
		last = n
	}
	next("first")
	next("second")
	os.WriteFile(path, []byte("7 00000000\n"), 0o600)
	next("damaged")
	os.Remove(path)
	next("missing")
	os.WriteFile(path, nil, 0o600)
	next("empty")
	os.WriteFile(path, []byte("x"), 0o600)
	os.WriteFile(path+".prev", []byte("x"), 0o600)
	next("both damaged")
	next("after the leap")
}

func TestCounterIsOnDiskBeforeItIsSeen(t *testing.T) {
	d := open(t, t.TempDir())
	seen := map[uint64]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			n, err := d.NextCounter()
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[n] {
				t.Errorf("%d twice, %v", n, err)
			}
			seen[n] = true
		})
	}
	wg.Wait()
	raw, err := os.ReadFile(filepath.Join(d.o.Dir, CounterFile))
	if n, parseErr := parseCounter(raw); err != nil || parseErr != nil || n != 8 {
		t.Errorf("on disk: %q", raw)
	}
}

// wire is one connection to an AC that hands out one nonce after the other.
type wire struct {
	nonce, binding []byte
	got            api.Signed
	refuse         error
}

func (w *wire) Binding() ([]byte, error) { return w.binding, nil }

func (w *wire) Post(_ context.Context, path string, in, out any) error {
	if path == api.PathChallenge {
		out.(*api.Challenge).Nonce = w.nonce
		return nil
	}
	w.got = in.(api.Signed)
	return w.refuse
}

func TestPostProvesTheDeviceOnThisConnection(t *testing.T) {
	d := open(t, t.TempDir())
	w := &wire{nonce: bytes.Repeat([]byte{1}, api.NonceSize), binding: bytes.Repeat([]byte{2}, 32)}
	want := api.Confirm{NodeID: "020000000001", Generation: 3}
	if err := d.Post(t.Context(), w, api.PathConfirm, api.PurposeConfirm, want, nil); err != nil {
		t.Fatal(err)
	}
	var got api.Confirm
	if err := w.got.Verify(api.PurposeConfirm, w.binding, w.nonce, &got); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	if !d.Public().Equal(ed25519.PublicKey(w.got.DeviceKey)) {
		t.Error("signed with another key")
	}
	w.refuse = api.ErrRefused
	if err := d.Post(t.Context(), w, api.PathConfirm, api.PurposeConfirm, want, nil); !errors.Is(err, api.ErrRefused) {
		t.Errorf("a refusal became %v", err)
	}
}
