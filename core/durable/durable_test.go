package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var errBad = errors.New("bad")

func parse(b []byte) (string, error) {
	if !strings.HasPrefix(string(b), "good") {
		return "", errBad
	}
	return string(b), nil
}

func good(b []byte) bool { _, err := parse(b); return err == nil }

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWriteReplacesWholeFilesWithTheModeAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "old")
	put(t, path+".new", "what a killed writer left")
	if err := Write(path, []byte("new"), 0o640); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	st, err := os.Stat(path)
	if err != nil || string(b) != "new" || st.Mode().Perm() != 0o640 {
		t.Fatalf("%q, %v, %v", b, st.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Fatalf("left behind: %v", entries)
	}
}

func TestSymlinkReplacesFilesAndLinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	put(t, path, "a plain file")
	for _, target := range []string{"a", "b"} {
		if err := Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(path); err != nil || got != target {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// Every combination of a good, damaged and missing file and copy, read, and
// then written over: there are two good files afterwards.
func TestTwoCopies(t *testing.T) {
	for _, c := range []struct{ name, now, prev, want string }{
		{"both good", "good 2", "good 1", "good 2"},
		{"now damaged", "bad", "good 1", "good 1"},
		{"now missing", "", "good 1", "good 1"},
		{"previous damaged", "good 2", "bad", "good 2"},
		{"previous missing", "good 2", "", "good 2"},
		{"both damaged", "bad", "bad", ""},
		{"now missing, previous damaged", "", "bad", ""},
		{"now damaged, previous missing", "bad", "", ""},
		{"nothing", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if c.now != "" {
				put(t, path, c.now)
			}
			if c.prev != "" {
				put(t, path+Previous, c.prev)
			}
			got, damage, err := Read(path, parse)
			if got != c.want || (err == nil) != (c.want != "") || (damage != nil) != (c.want == c.prev && c.want != "") {
				t.Fatalf("read %q, damage %v, error %v", got, damage, err)
			}
			if nothing := c.now == "" && c.prev == ""; errors.Is(err, fs.ErrNotExist) != nothing {
				t.Fatalf("%v is about a missing file", err)
			}
			if err := WriteKeeping(path, []byte("good 3"), 0o600, good); err != nil {
				t.Fatal(err)
			}
			twoGoodFiles(t, path)
		})
	}
}

func twoGoodFiles(t *testing.T, path string) {
	t.Helper()
	now, err1 := os.ReadFile(path)
	prev, err2 := os.ReadFile(path + Previous)
	if err1 != nil || err2 != nil || string(now) != "good 3" || !good(prev) {
		t.Fatalf("%q %v, %q %v", now, err1, prev, err2)
	}
	a, _ := os.Stat(path)
	b, _ := os.Stat(path + Previous)
	if os.SameFile(a, b) {
		t.Fatal("both are one file: one bad block loses both")
	}
}

func TestMkdirAllMakesFoldersOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(dir, "file"), 0o700); err == nil {
		t.Error("a file was taken for a folder")
	}
}
