package seal

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/core/api"
)

// After each step the file, read anew, opens what was sealed before and since.
func TestAMasterKeyIsAddedUsedAndKept(t *testing.T) {
	dir := t.TempDir()
	o := Options{File: filepath.Join(dir, "keys", "master"), DataDir: filepath.Join(dir, "data")}
	s, _, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	secret, key := api.Secret("secret"), api.Secret(bytes.Repeat([]byte{9}, KeySize))
	id, err := Name(key)
	if err != nil {
		t.Fatal(err)
	}
	old := s.ID()
	before, err := s.Seal("k", 1, secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Keep(old), s.Use(old)); err != nil { // nothing to do
		t.Fatal(err)
	}
	if err := s.Use(id); !errors.Is(err, ErrKey) {
		t.Fatalf("a key that is not here is used: %v", err)
	}
	for _, step := range []struct {
		name string
		do   func(*Sealer) error
		seal KeyID
	}{
		{"add", func(s *Sealer) error { return s.Add(key) }, old},
		{"use", func(s *Sealer) error { return s.Use(id) }, id},
	} {
		for range 2 { // again, as after a crash
			if err := step.do(s); err != nil {
				t.Fatal(err)
			}
			if s, _, err = Load(o); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Open("k", 1, before); err != nil || !bytes.Equal(got, secret) || s.ID() != step.seal || !s.Has(id) {
			t.Errorf("after %s: %v, %s seals", step.name, err, s.ID())
		}
	}
	if err := s.Keep(old); !errors.Is(err, ErrKey) {
		t.Errorf("the key that seals is forgotten: %v", err)
	}
	if err := s.Keep(id); err != nil {
		t.Fatal(err)
	}
	if s, _, err = Load(o); err != nil || !s.Only(id) {
		t.Fatalf("%v, in the end %s seals", err, s.ID())
	}
	if _, err := s.Open("k", 1, before); !errors.Is(err, ErrKey) {
		t.Errorf("what nobody sealed again: %v", err)
	}
}
