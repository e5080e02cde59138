package seal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/core/api"
)

func sealer(t testing.TB, fill ...byte) *Sealer {
	t.Helper()
	var keys []api.Secret
	for _, b := range fill {
		keys = append(keys, bytes.Repeat([]byte{b}, KeySize))
	}
	s, err := New(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpen(t *testing.T) {
	s := sealer(t, 1)
	secret := api.Secret("thirty-two bytes of key material")
	envelope, err := s.Seal("escrow/a", 7, secret)
	if err != nil || len(envelope) != len(secret)+Overhead {
		t.Fatalf("%d bytes, %v; want %d", len(envelope), err, len(secret)+Overhead)
	}
	again, _ := s.Seal("escrow/a", 7, secret)
	if bytes.Equal(envelope, again) {
		t.Fatal("sealing twice gave the same bytes: the nonce is not random")
	}
	got, err := s.Open("escrow/a", 7, envelope)
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("opened %x, %v", []byte(got), err)
	}
	for name, f := range map[string]func() error{
		"other record":     func() error { _, err := s.Open("escrow/b", 7, envelope); return err },
		"other generation": func() error { _, err := s.Open("escrow/a", 8, envelope); return err },
		"cut":              func() error { _, err := s.Open("escrow/a", 7, envelope[:Overhead-1]); return err },
		"nothing":          func() error { _, err := s.Open("escrow/a", 7, nil); return err },
	} {
		if err := f(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

func TestEveryBitCounts(t *testing.T) {
	s := sealer(t, 1)
	envelope, err := s.Seal("r", 1, api.Secret("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(envelope) * 8 {
		bad := bytes.Clone(envelope)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := s.Open("r", 1, bad); err == nil {
			t.Fatalf("bit %d was flipped and nobody noticed", i)
		}
	}
}

func TestMasterKeyRotation(t *testing.T) {
	old, both, renewed := sealer(t, 1), sealer(t, 2, 1), sealer(t, 2)
	envelope, err := old.Seal("r", 1, api.Secret("secret"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := both.Open("r", 1, envelope)
	if err != nil {
		t.Fatalf("old record with both keys: %v", err)
	}
	if id, err := SealedUnder(envelope); err != nil || id != old.ID() {
		t.Fatalf("sealed under %v, %v; want %v", id, err, old.ID())
	}
	if _, err := renewed.Open("r", 1, envelope); !errors.Is(err, ErrKey) {
		t.Fatalf("old record with the new key only: %v, want ErrKey", err)
	}
	if envelope, err = both.Seal("r", 1, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := renewed.Open("r", 1, envelope); err != nil {
		t.Fatalf("record sealed again: %v", err)
	}
}

func TestErrorsAndKeysTellNoSecret(t *testing.T) {
	s := sealer(t, 0x41)
	envelope, _ := s.Seal("r", 1, api.Secret("BBBBBBBB"))
	secret, _ := s.Open("r", 1, envelope)
	_, err := s.Open("q", 1, envelope)
	if text := fmt.Sprintf("%v %+v %v", secret, secret, err); strings.Contains(text, "AAAA") || strings.Contains(text, "BBBB") {
		t.Fatalf("a secret shows: %s", text)
	}
}

func place(t *testing.T) Options {
	t.Helper()
	root := t.TempDir()
	return Options{File: filepath.Join(root, "secrets", "master.key"), DataDir: filepath.Join(root, "data")}
}

func TestLoadMakesThenReads(t *testing.T) {
	o := place(t)
	first, created, err := Load(o)
	if err != nil || !created {
		t.Fatalf("first start: created=%t, %v", created, err)
	}
	if err := os.MkdirAll(filepath.Join(o.DataDir, "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	second, created, err := Load(o)
	if err != nil || created || second.ID() != first.ID() {
		t.Fatalf("second start: created=%t, %v", created, err)
	}
	if info, err := os.Stat(o.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestLoadRefuses(t *testing.T) {
	edit := func(f func([]byte) []byte) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			b, err := os.ReadFile(o.File)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(o.File, f(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		harm func(*testing.T, *Options)
		says string
	}{
		{"in the data folder", func(t *testing.T, o *Options) { o.DataDir = filepath.Dir(o.File) }, "lies in the data folder"},
		{"readable by others", func(t *testing.T, o *Options) { _ = os.Chmod(o.File, 0o644) }, "0644"},
		{"empty", edit(func([]byte) []byte { return nil }), "no key"},
		{"cut", edit(func(b []byte) []byte { return b[:len(b)-3] }), "damaged"},
		{"changed", edit(func(b []byte) []byte { b[len(b)-10] ^= 3; return b }), "damaged"},
		{"a word too many", edit(func(b []byte) []byte { return append(b[:len(b)-1], " x"...) }), "line 3: 3 words"},
		{"gone, with data", func(t *testing.T, o *Options) {
			_ = os.MkdirAll(filepath.Join(o.DataDir, "etcd"), 0o700)
			_ = os.Remove(o.File)
		}, "restore the file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := place(t)
			if _, _, err := Load(o); err != nil {
				t.Fatal(err)
			}
			c.harm(t, &o)
			_, _, err := Load(o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want an error with %q", err, c.says)
			}
			if c.name == "readable by others" && !errors.Is(err, keyfile.ErrExposed) {
				t.Fatalf("got %v, want ErrExposed", err)
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	s := sealer(f, 1)
	good, err := s.Seal("r", 1, api.Secret("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := s.Open("r", 1, b); err == nil && string(got) != "secret" {
			t.Fatalf("a forged envelope opened: %x", b)
		}
	})
}

func FuzzParse(f *testing.F) {
	line, _ := format(bytes.Repeat([]byte{1}, KeySize))
	f.Add([]byte(header + line))
	f.Add([]byte("a b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parse(b)
		if err == nil && len(keys) == 0 {
			t.Fatal("no key and no error")
		}
		for _, k := range keys {
			if len(k) != KeySize {
				t.Fatalf("key of %d bytes", len(k))
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := sealer(b, 1)
	envelope, _ := s.Seal("r", 1, bytes.Repeat([]byte{1}, 32))
	for b.Loop() {
		if _, err := s.Open("r", 1, envelope); err != nil {
			b.Fatal(err)
		}
	}
}
