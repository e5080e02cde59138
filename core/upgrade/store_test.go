package upgrade

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/upgrade/trial"
)

var quiet = slog.New(slog.DiscardHandler)

// Binaries that no record names go when one has proved itself, not before.
func TestProvedBinariesPushOutOlderOnes(t *testing.T) {
	k := keep(t)
	var kept []string
	for _, name := range []string{"one", "two", "three"} {
		sum := k.script(name)
		k.must(k.Begin(sum, trial.Build{}, Self(), trial.Trial{ID: sum}))
		kept = append(kept, sum)
		for _, s := range kept {
			k.must(k.Whole(s))
		}
		k.must(k.Prove(sum))
	}
	if err := k.Whole(kept[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the one before the one before: %v", err)
	}
	k.must(errors.Join(k.Whole(kept[1]), k.Whole(kept[2])))
}

func TestRollBackIsOfOneUpgradeAndOnce(t *testing.T) {
	k := keep(t)
	k.proved(k.script("one"))
	before, err := k.Read()
	k.must(err)
	sum := k.script("two")
	k.must(k.Begin(sum, trial.Build{Version: "two"}, Self(), trial.Trial{ID: "u2"}))
	if err := k.Begin(k.script("three"), trial.Build{}, Self(), trial.Trial{ID: "u3"}); err == nil {
		t.Error("two trials at once")
	}
	k.must(k.RollBack("u1", "not its own"))
	if r, err := k.Read(); err != nil || r.Trial == nil || r.Current != sum {
		t.Errorf("taken back by another's id: %+v, %v", r, err)
	}
	k.must(k.RollBack("u2", "it hung"))
	k.must(k.RollBack("u2", "again"))
	k.must(k.Prove("u2"))
	if r, err := k.Read(); err != nil || r.Current != before.Current || r.Last.Why != "it hung" || r.Last.Build.Version != "two" {
		t.Errorf("taken back: %+v, %v", r, err)
	}
}

// A trial that cannot be told from one of an earlier boot is not begun.
func TestATrialWithoutAMarkIsNotBegun(t *testing.T) {
	k := keep(t)
	k.must(os.RemoveAll(k.RunDir))
	if err := k.Begin(k.script("new"), trial.Build{}, Self(), trial.Trial{ID: "u1"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("begun: %v", err)
	}
	k.lost("it was not begun")
}

func TestAccept(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	_, stranger, err2 := ed25519.GenerateKey(nil)
	der, err3 := x509.MarshalPKIXPublicKey(public)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), KeysFile)
	built := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := api.Release{Version: "2.0", Arch: runtime.GOARCH, Built: built, Sum: strings.Repeat("ab", 32), Size: 1}
	signed := func(r api.Release, key ed25519.PrivateKey) api.Release {
		r, err := r.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := Accept(signed(good, private), file, trial.Build{}, true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a node without keys: %v", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	other := good
	other.Arch = "mips"
	tampered := signed(good, private)
	tampered.Sum = strings.Repeat("cd", 32)
	older := trial.Build{Version: "1.0", Built: built.Add(-time.Hour)}
	newer := trial.Build{Version: "3.0", Built: built.Add(time.Second)}
	for _, c := range []struct {
		what      string
		r         api.Release
		runs      trial.Build
		downgrade bool
		want      error
	}{
		{"a newer one", signed(good, private), older, false, nil},
		{"the same", signed(good, private), trial.Build{Built: built}, false, nil},
		{"an older one", signed(good, private), newer, false, ErrDowngrade},
		{"an older one that is wanted", signed(good, private), newer, true, nil},
		{"unsigned", good, older, true, api.ErrUnsigned},
		{"signed by a stranger", signed(good, stranger), older, true, api.ErrUnsigned},
		{"signed for another file", tampered, older, true, api.ErrUnsigned},
		{"for another machine", signed(other, private), older, true, ErrArch},
	} {
		if err := Accept(c.r, file, c.runs, c.downgrade); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Accept(signed(good, private), file, older, true); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("keys that are none: %v", err)
	}
}
