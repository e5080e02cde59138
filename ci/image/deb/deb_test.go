package deb

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// large is more than pipes hold: dpkg-deb waits for a reader of the rest.
const large = 8 << 20

// pack makes a package with one program, and a script that must not run.
func pack(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"p/DEBIAN/control":  "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example>\nDescription: x\n",
		"p/DEBIAN/postinst": "#!/bin/sh\ntouch " + dir + "/ran\n",
		"p/usr/bin/p":       "program",
		"p/usr/share/large": strings.Repeat("x", large),
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "p.deb")
	if said, err := exec.Command("dpkg-deb", "--build", "--root-owner-group", filepath.Join(dir, "p"), out).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, said)
	}
	return out
}

func TestFiles(t *testing.T) {
	file := pack(t)
	got := map[string]string{}
	err := Files(t.Context(), file, func(h *tar.Header, r io.Reader) error {
		text, err := io.ReadAll(r)
		got[h.Name] = string(text)
		return err
	})
	if err != nil || got["./usr/bin/p"] != "program" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "ran")); err == nil {
		t.Error("the package's script ran")
	}
}

func TestErrorsComeOut(t *testing.T) {
	mine := errors.New("mine") // a full disk, say, with most of the package unread
	if err := Files(t.Context(), pack(t), func(*tar.Header, io.Reader) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("got %v, want mine", err)
	}
	bad := filepath.Join(t.TempDir(), "bad.deb")
	if err := os.WriteFile(bad, []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Files(t.Context(), bad, func(*tar.Header, io.Reader) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "bad.deb") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
