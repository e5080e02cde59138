package keyfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/ac-mock/keyfile"
)

func TestCreateThenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets", "a.key")
	if _, err := keyfile.Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("reading a missing file: %v", err)
	}
	if err := keyfile.Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Create(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("making it twice: %v, want ErrExist", err)
	}
	if b, err := keyfile.Read(path); err != nil || string(b) != "one" {
		t.Fatalf("read %q, %v", b, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*")); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestExposedIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	if err := keyfile.Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.Read(path); !errors.Is(err, keyfile.ErrExposed) {
			t.Errorf("mode %v: %v, want ErrExposed", mode, err)
		}
	}
}

func TestOutside(t *testing.T) {
	root := t.TempDir()
	data := filepath.Join(root, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(root, "alias")); err != nil {
		t.Fatal(err)
	}
	for path, inside := range map[string]bool{
		"data/key": true, "data/sub/key": true, "alias/key": true, "data/../data/key": true,
		"key": false, "data-2/key": false, "..key": false, "other/key": false,
	} {
		err := keyfile.Outside(filepath.Join(root, path), data)
		if errors.Is(err, keyfile.ErrExposed) != inside {
			t.Errorf("%s: %v, want refused=%t", path, err, inside)
		}
	}
}
