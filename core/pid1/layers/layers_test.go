package layers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAboutAndFits(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a": `{"id":"1","kernel":"6.1","tools_sha256":"ff"}`, "b": `{"id":"2"}`, "none": `{}`, "bad": `{`})
	a, err := ReadAbout(filepath.Join(dir, "a"))
	if err != nil || a.ID != "1" || a.Kernel != "6.1" || a.Tools != "ff" {
		t.Errorf("%+v, %v", a, err)
	}
	b, _ := ReadAbout(filepath.Join(dir, "b"))
	if err := Fits(a, b); !errors.Is(err, ErrOther) || !strings.Contains(err.Error(), "it is of 2, this is 1") {
		t.Error(err)
	}
	if err := Fits(a, a); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"none", "bad", "missing"} {
		if _, err := ReadAbout(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func TestGenuine(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"disk": "layer, and what else is on the disk", "forged": "lAyer", "short": "lay"})
	image := About{ID: "1", Tools: fmt.Sprintf("%x", sha256.Sum256([]byte("layer"))), Size: 5}
	for name, want := range map[string]error{"disk": nil, "forged": ErrForged, "short": ErrForged, "none": fs.ErrNotExist} {
		if err := Genuine(image, filepath.Join(dir, name)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	if err := Genuine(About{ID: "1"}, filepath.Join(dir, "forged")); err != nil {
		t.Errorf("an image that names no layer: %v", err)
	}
}

func TestCopyMissing(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	put(t, from, map[string]string{"passwd": "theirs", "docker/daemon.json": "{}", "ssh/a": "a"})
	put(t, to, map[string]string{"passwd": "ours", "ssh/b": "b"})
	os.Symlink("/nowhere", filepath.Join(from, "link"))
	os.Symlink("ours", filepath.Join(to, "dangling"))
	os.Symlink("theirs", filepath.Join(from, "dangling"))
	os.Chmod(filepath.Join(from, "docker"), 0o750)
	for range 2 { // again changes nothing
		if err := CopyMissing(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"passwd": "ours", "docker/daemon.json": "{}", "ssh/a": "a", "ssh/b": "b"} {
		if got, _ := os.ReadFile(filepath.Join(to, name)); string(got) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if l, _ := os.Readlink(filepath.Join(to, "link")); l != "/nowhere" {
		t.Error(l)
	}
	if l, _ := os.Readlink(filepath.Join(to, "dangling")); l != "ours" {
		t.Error(l)
	}
	if st, err := os.Stat(filepath.Join(to, "docker")); err != nil || st.Mode().Perm() != 0o750 {
		t.Error(st.Mode(), err)
	}
}

// What stands in the way of one file does not keep the others, and nothing is
// written where a link leads.
func TestCopyMissingGoesOn(t *testing.T) {
	from, to, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, from, map[string]string{"a/x": "1", "b/x": "2", "c/x": "3", "d": "4"})
	put(t, to, map[string]string{"a": "a file"})
	os.Symlink(elsewhere, filepath.Join(to, "b"))
	os.Symlink("c", filepath.Join(to, "c")) // leads to itself
	if err := CopyMissing(from, to); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(filepath.Join(to, "d")); string(got) != "4" {
		t.Errorf("what comes after is %q", got)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) != 0 {
		t.Errorf("written through a link: %v", left)
	}
}

func TestFilesAreNewestFirst(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.squashfs": "", "b.squashfs": "", "c.squashfs.part": ""})
	old := time.Now().Add(-time.Hour)
	os.Chtimes(filepath.Join(dir, "a.squashfs"), old, old)
	if got := Files(dir); len(got) != 2 || filepath.Base(got[0]) != "b.squashfs" {
		t.Error(got)
	}
	if got := Files(filepath.Join(dir, "nowhere")); got != nil {
		t.Error(got)
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	calls := 0
	asked := make(chan struct{}, 8)
	done := make(chan error)
	go func() {
		done <- Watch(t.Context(), dir, func() bool { calls++; asked <- struct{}{}; return len(Files(dir)) == 0 })
	}()
	<-asked
	put(t, dir, map[string]string{"a.part": "whole"})
	<-asked
	if err := os.Rename(filepath.Join(dir, "a.part"), filepath.Join(dir, "a.squashfs")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || calls < 2 {
		t.Error(calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- Watch(ctx, t.TempDir(), func() bool { asked <- struct{}{}; return true }) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := Watch(t.Context(), "/proc/nowhere", func() bool { return false }); err == nil {
		t.Error("watches what is not there")
	}
}
