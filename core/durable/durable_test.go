package durable_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/durable/memory"
)

var errBad = errors.New("bad")

func parse(b []byte) (string, error) {
	if !strings.HasPrefix(string(b), "good") {
		return "", errBad
	}
	return string(b), nil
}

func good(b []byte) bool { _, err := parse(b); return err == nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onEachDisk runs a test on this machine's disk and on the one in memory.
func onEachDisk(t *testing.T, test func(t *testing.T, d durable.Disk, dir string)) {
	t.Run("machine", func(t *testing.T) { test(t, durable.OS, t.TempDir()) })
	t.Run("memory", func(t *testing.T) {
		d := memory.New(func(int) int { return 0 })
		must(t, d.MkdirAll("/tmp/dir", 0o755))
		test(t, d, "/tmp/dir")
	})
}

func put(t *testing.T, d durable.Disk, path, content string) {
	t.Helper()
	must(t, d.RemoveAll(path))
	f, err := d.Create(path, 0o600)
	must(t, err)
	_, err = f.Write([]byte(content))
	must(t, errors.Join(err, f.Close()))
}

func TestWriteReplacesWholeFilesWithTheModeAsked(t *testing.T) {
	onEachDisk(t, func(t *testing.T, d durable.Disk, dir string) {
		path := filepath.Join(dir, "f")
		put(t, d, path, "old")
		put(t, d, path+".new", "what a killed writer left")
		must(t, durable.Write(d, path, []byte("new"), 0o642))
		b, _ := d.ReadFile(path)
		st, err := d.Stat(path)
		if err != nil || string(b) != "new" || st.Mode() != 0o642 || st.Name() != "f" || st.Size() != 3 {
			t.Fatalf("%q, %v, %v", b, st, err)
		}
		if entries, _ := d.ReadDir(dir); len(entries) != 1 {
			t.Fatalf("left behind: %v", entries)
		}
	})
}

func TestSymlinkReplacesFilesAndLinks(t *testing.T) {
	onEachDisk(t, func(t *testing.T, d durable.Disk, dir string) {
		path := filepath.Join(dir, "l")
		put(t, d, path, "a plain file")
		for _, target := range []string{"a", "b"} {
			must(t, durable.Symlink(d, target, path))
			if got, err := d.Readlink(path); err != nil || got != target {
				t.Fatalf("%q, %v", got, err)
			}
		}
		put(t, d, filepath.Join(dir, "b"), "reached")
		if b, err := d.ReadFile(path); err != nil || string(b) != "reached" {
			t.Fatalf("%q, %v", b, err)
		}
		link, err1 := d.Lstat(path)
		file, err2 := d.Stat(path)
		if err1 != nil || err2 != nil || link.Mode()&fs.ModeSymlink == 0 || !file.Mode().IsRegular() {
			t.Fatalf("%v %v, %v %v", link, err1, file, err2)
		}
	})
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
			onEachDisk(t, func(t *testing.T, d durable.Disk, dir string) {
				path := filepath.Join(dir, "f")
				if c.now != "" {
					put(t, d, path, c.now)
				}
				if c.prev != "" {
					put(t, d, path+durable.Previous, c.prev)
				}
				got, damage, err := durable.Read(d, path, parse)
				if got != c.want || (err == nil) != (c.want != "") || (damage != nil) != (c.want == c.prev && c.want != "") {
					t.Fatalf("read %q, damage %v, error %v", got, damage, err)
				}
				if nothing := c.now == "" && c.prev == ""; errors.Is(err, fs.ErrNotExist) != nothing {
					t.Fatalf("%v is about a missing file", err)
				}
				must(t, durable.WriteKeeping(d, path, []byte("good 3"), 0o600, good))
				twoGoodFiles(t, d, path)
			})
		})
	}
}

func twoGoodFiles(t *testing.T, d durable.Disk, path string) {
	t.Helper()
	now, err1 := d.ReadFile(path)
	prev, err2 := d.ReadFile(path + durable.Previous)
	if err1 != nil || err2 != nil || string(now) != "good 3" || !good(prev) {
		t.Fatalf("%q %v, %q %v", now, err1, prev, err2)
	}
	a, _ := d.Stat(path)
	b, _ := d.Stat(path + durable.Previous)
	if inode(a) == inode(b) {
		t.Fatal("both are one file: one bad block loses both")
	}
}

// inode tells two names of one file from two files, on either disk.
func inode(st fs.FileInfo) any {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return st.Sys()
}

func TestMkdirAllMakesFoldersOnce(t *testing.T) {
	onEachDisk(t, func(t *testing.T, d durable.Disk, dir string) {
		dir = filepath.Join(dir, "a", "b")
		for range 2 {
			must(t, durable.MkdirAll(d, dir, 0o700))
		}
		if st, err := d.Stat(dir); err != nil || !st.IsDir() || st.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", st, err)
		}
		put(t, d, filepath.Join(dir, "file"), "")
		if err := durable.MkdirAll(d, filepath.Join(dir, "file"), 0o700); err == nil {
			t.Error("a file was taken for a folder")
		}
	})
}

// What is refused, and by which error, is the same on both disks.
func TestRefusals(t *testing.T) {
	onEachDisk(t, func(t *testing.T, d durable.Disk, dir string) {
		in := func(name string) string { return filepath.Join(dir, name) }
		put(t, d, in("file"), "x")
		must(t, d.MkdirAll(in("full/below"), 0o755))
		must(t, d.MkdirAll(in("empty"), 0o755))
		must(t, d.Symlink("loop", in("loop")))
		must(t, d.Link(in("file"), in("second")))
		second := func(_ any, err error) error { return err }
		for _, c := range []struct {
			what string
			err  error
			want error
		}{
			{"read nothing", second(d.ReadFile(in("none"))), syscall.ENOENT},
			{"read a folder", second(d.ReadFile(in("empty"))), syscall.EISDIR},
			{"read below a file", second(d.ReadFile(in("file/x"))), syscall.ENOTDIR},
			{"read a loop", second(d.ReadFile(in("loop"))), syscall.ELOOP},
			{"list a file", second(d.ReadDir(in("file"))), syscall.ENOTDIR},
			{"where a file leads", second(d.Readlink(in("file"))), syscall.EINVAL},
			{"create what is there", second(d.Create(in("file"), 0o600)), syscall.EEXIST},
			{"create in nothing", second(d.Create(in("none/x"), 0o600)), syscall.ENOENT},
			{"link a folder", d.Link(in("empty"), in("x")), syscall.EPERM},
			{"link onto a file", d.Link(in("file"), in("second")), syscall.EEXIST},
			{"symlink onto a file", d.Symlink("x", in("file")), syscall.EEXIST},
			{"rename onto a folder", d.Rename(in("file"), in("empty")), syscall.EEXIST},
			{"rename a folder onto a file", d.Rename(in("empty"), in("file")), syscall.ENOTDIR},
			{"rename a folder into itself", d.Rename(in("full"), in("full/x")), syscall.EINVAL},
			{"rename nothing", d.Rename(in("none"), in("x")), syscall.ENOENT},
			{"remove a folder in use", d.Remove(in("full")), syscall.ENOTEMPTY},
			{"remove nothing", d.Remove(in("none")), syscall.ENOENT},
			{"mode of nothing", d.Chmod(in("none"), 0o600), syscall.ENOENT},
			{"sync nothing", d.SyncDir(in("none")), syscall.ENOENT},
			{"one file's two names", d.Rename(in("file"), in("second")), nil},
			{"remove all of nothing", d.RemoveAll(in("none/x")), nil},
			{"remove all", d.RemoveAll(in("full")), nil},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
			}
		}
		if _, err := d.Lstat(in("file")); err != nil {
			t.Errorf("one of two names of a file is gone: %v", err)
		}
	})
}
