package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFindSeesFilesComeAndChange(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	find := func(text string, want error) {
		t.Helper()
		f, err := l.Find(sum(text))
		if !errors.Is(err, want) {
			t.Errorf("find %q: %v, want %v", text, err, want)
		}
		if err == nil {
			_ = f.Close()
		}
	}
	put := func(text string, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, "tools.squashfs")
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	find("one", ErrNone)
	put("one", time.Unix(1, 0))
	find("one", nil)
	put("two", time.Unix(2, 0))
	find("two", nil)
	find("one", ErrNone)
}

func TestOpen(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there: no error")
	}
	l, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find("x"); !errors.Is(err, ErrNone) {
		t.Errorf("without a folder: %v", err)
	}
}
