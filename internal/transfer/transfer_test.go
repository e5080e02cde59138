package transfer

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pass sends what is at from and puts it at to.
func pass(t *testing.T, from, to string) (api.ChannelSum, error) {
	t.Helper()
	r, err := Look(t.Context(), from, true)
	must(t, err)
	var wire bytes.Buffer
	sent, err := Send(t.Context(), &wire, from, r)
	must(t, err)
	target, err := Create(to, filepath.Base(from), r)
	if err != nil {
		return sent, err
	}
	defer target.Abort()
	got, err := target.Fill(t.Context(), &wire)
	if err == nil {
		err = Check(sent, got)
	}
	if err == nil {
		err = target.Commit()
	}
	return sent, err
}

// tree is what a folder holds: name, mode, time, content or link.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		st, err := d.Info()
		must(t, err)
		name, _ := filepath.Rel(dir, path)
		line := name + " " + st.Mode().String()
		switch {
		case d.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(path)
			line += " -> " + to
		case d.IsDir():
			line += " " + st.ModTime().UTC().Format(time.RFC3339Nano)
		default:
			text, err := os.ReadFile(path)
			must(t, err)
			line += " " + st.ModTime().UTC().Format(time.RFC3339Nano) + fmt.Sprintf(" %d %.8x", len(text), sha256.Sum256(text))
		}
		lines = append(lines, line)
		return nil
	}))
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

var long = time.Date(2019, 3, 4, 5, 6, 7, 89, time.UTC)

// sample makes a folder with all that can be copied.
func sample(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sample")
	for name, text := range map[string]string{"a": "one", "sub/b": "two", "sub/deep/c": strings.Repeat("three", 20000), "sub/empty": ""} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o640))
		must(t, os.Chtimes(path, long, long))
	}
	must(t, os.Chmod(filepath.Join(dir, "a"), 0o755|fs.ModeSetuid))
	must(t, os.Symlink("../a", filepath.Join(dir, "sub", "link")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "away")))
	must(t, os.Chmod(filepath.Join(dir, "sub", "deep"), 0o500))
	for _, d := range []string{"sub/deep", "sub", "."} {
		must(t, os.Chtimes(filepath.Join(dir, d), long, long))
	}
	return dir
}

func TestFolder(t *testing.T) {
	from, to := sample(t), t.TempDir()
	want := tree(t, from)
	_, err := pass(t, from, to) // under its name
	must(t, err)
	_, err = pass(t, from, filepath.Join(to, "other")) // under another
	must(t, err)
	for _, name := range []string{"sample", "other"} {
		if got := tree(t, filepath.Join(to, name)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	if list, _ := os.ReadDir(to); len(list) != 2 {
		t.Errorf("%v is left", list)
	}
}

// A folder that exists keeps what else is in it.
func TestMerge(t *testing.T) {
	from, to := sample(t), t.TempDir()
	there := filepath.Join(to, "sample")
	must(t, os.MkdirAll(filepath.Join(there, "sub", "deep"), 0o755))
	must(t, os.WriteFile(filepath.Join(there, "sub", "mine"), []byte("mine"), 0o600))
	must(t, os.WriteFile(filepath.Join(there, "a"), []byte("old"), 0o600))
	_, err := pass(t, from, to)
	must(t, err)
	must(t, os.Remove(filepath.Join(there, "sub", "mine")))
	must(t, os.Chtimes(filepath.Join(there, "sub"), long, long))
	if got, want := tree(t, there), tree(t, from); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}

// A folder is not merged into what does not fit, and nothing of it is there.
func TestMergeThatCannotBe(t *testing.T) {
	for what, plant := range map[string]func(dir string) error{
		"a file in place of a folder": func(dir string) error { return os.WriteFile(filepath.Join(dir, "sub"), nil, 0o600) },
		"a folder in place of a file": func(dir string) error { return os.Mkdir(filepath.Join(dir, "a"), 0o700) },
		"a link in place of a folder": func(dir string) error { return os.Symlink("/tmp", filepath.Join(dir, "sub")) },
	} {
		from, to := sample(t), t.TempDir()
		there := filepath.Join(to, "sample")
		must(t, os.Mkdir(there, 0o700))
		must(t, plant(there))
		before := tree(t, there)
		if _, err := pass(t, from, to); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s: %v", what, err)
		}
		if after := tree(t, there); strings.Split(after, "\n")[1] != strings.Split(before, "\n")[1] || strings.Count(after, "\n") != strings.Count(before, "\n") {
			t.Errorf("%s:\n%s\nwas\n%s", what, after, before)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	must(t, os.WriteFile(from, []byte("content"), 0o754))
	must(t, os.Chtimes(from, long, long))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	for _, to := range []string{"new", "link", "folder", "folder/"} {
		path := filepath.Join(dir, to)
		if strings.HasSuffix(to, "/") {
			path += "/"
		}
		sum, err := pass(t, from, path)
		must(t, err)
		if st, _ := os.Stat(path); st.IsDir() {
			path = filepath.Join(path, "from")
		}
		st, err := os.Lstat(path)
		must(t, err)
		text, _ := os.ReadFile(path)
		if string(text) != "content" || st.Mode() != 0o754 || !st.ModTime().Equal(long) || sum.Bytes != 7 {
			t.Errorf("%s: %q %s %s %+v", to, text, st.Mode(), st.ModTime(), sum)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	for _, path := range []string{"pipe", "none"} {
		if _, err := Look(t.Context(), filepath.Join(dir, path), true); err == nil {
			t.Errorf("%s is found", path)
		}
	}
	if _, err := Look(t.Context(), dir, false); err == nil || !strings.Contains(err.Error(), "-r") {
		t.Errorf("a folder: %v", err)
	}
	for what, r := range map[string]api.ChannelReady{
		"pipe": {}, "none/": {}, "none/x": {}, "none/.": {Folder: true}, "file": {Folder: true}, "big": {Bytes: 1 << 60}, "file/x": {},
	} {
		path := filepath.Join(dir, strings.TrimRight(what, "/.")) + what[len(strings.TrimRight(what, "/.")):]
		if target, err := Create(path, "name", r); err == nil {
			target.Abort()
			t.Errorf("%s can be written", what)
		}
	}
	// With holes it fits.
	target, err := Create(filepath.Join(dir, "big"), "name", api.ChannelReady{Bytes: 1 << 60, OnDisk: 4096})
	must(t, err)
	target.Abort()
}

// What breaks off, is not what was announced or is another than was sent leaves
// nothing.
func TestNothingIsLeft(t *testing.T) {
	broken := errors.New("broken")
	for what, tt := range map[string]struct {
		r    api.ChannelReady
		data io.Reader
	}{
		"broken off":         {api.ChannelReady{Bytes: -1}, io.MultiReader(strings.NewReader("x"), failing{broken})},
		"too much":           {api.ChannelReady{Bytes: 3}, strings.NewReader("1234")},
		"a folder broken":    {api.ChannelReady{Folder: true, Bytes: 1 << 20}, io.MultiReader(bytes.NewReader(archive(t, tar.Header{Name: "ro/f", Size: 3}, tar.Header{Name: "ro/", Mode: 0o500, Typeflag: tar.TypeDir})[:2048]), failing{broken})},
		"no tar":             {api.ChannelReady{Folder: true}, strings.NewReader(strings.Repeat("x", 4096))},
		"grown":              {api.ChannelReady{Folder: true, Bytes: 2}, bytes.NewReader(archive(t, tar.Header{Name: "f", Size: 3}))},
		"endless":            {api.ChannelReady{Folder: true, Bytes: 3}, io.MultiReader(bytes.NewReader(archive(t, tar.Header{Name: "f", Size: 3})), endless{})},
		"twice":              {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "f", Size: 3}, tar.Header{Name: "f", Size: 3}))},
		"out of the folder":  {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "../f", Size: 3}))},
		"absolute":           {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "/f", Size: 3}))},
		"through a link":     {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "l", Linkname: "..", Typeflag: tar.TypeSymlink}, tar.Header{Name: "l/f", Size: 3}))},
		"over a link":        {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "l", Linkname: "../x", Typeflag: tar.TypeSymlink}, tar.Header{Name: "l", Size: 3}))},
		"mode through links": {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "l", Linkname: "..", Typeflag: tar.TypeSymlink}, tar.Header{Name: "l/", Mode: 0o777, Typeflag: tar.TypeDir}))},
		"hard link":          {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "h", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}))},
		"device":             {api.ChannelReady{Folder: true, Bytes: 9}, bytes.NewReader(archive(t, tar.Header{Name: "d", Typeflag: tar.TypeChar}))},
	} {
		dir := t.TempDir()
		target, err := Create(filepath.Join(dir, "x"), "x", tt.r)
		if err != nil {
			t.Fatal(what, err)
		}
		if _, err := target.Fill(t.Context(), tt.data); err == nil {
			t.Errorf("%s: taken", what)
		}
		target.Abort()
		if list, _ := os.ReadDir(dir); len(list) != 0 {
			t.Errorf("%s: %v is left", what, list)
		}
	}
	if err := Check(api.ChannelSum{Bytes: 1, SHA256: "a"}, api.ChannelSum{Bytes: 1, SHA256: "b"}); !errors.Is(err, ErrSum) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func archive(t testing.TB, entries ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		must(t, w.WriteHeader(&h))
		_, err := w.Write(make([]byte, h.Size))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// A large file that is mostly holes takes as little at the other end, and as
// little memory.
func TestHoles(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	f, err := os.Create(from)
	must(t, err)
	for _, at := range []int64{0, 5 << 20, 64<<20 - 3} {
		_, err := f.WriteAt([]byte("xyz"), at)
		must(t, err)
	}
	must(t, f.Truncate(96<<20))
	must(t, f.Close())
	r, err := Look(t.Context(), from, false)
	must(t, err)
	target, err := Create(to, "to", r)
	must(t, err)
	defer target.Abort()
	pr, pw := io.Pipe()
	go func() {
		_, err := Send(t.Context(), pw, from, r)
		pw.CloseWithError(err)
	}()
	got, err := target.Fill(t.Context(), pr)
	must(t, err)
	must(t, target.Commit())
	st, err := os.Stat(to)
	must(t, err)
	if st.Size() != 96<<20 || got.Bytes != 96<<20 || onDisk(st) > 1<<20 || r.OnDisk > 1<<20 {
		t.Errorf("%d bytes, %d on disk, %d there", st.Size(), onDisk(st), r.OnDisk)
	}
	again, err := SendFrom(t.Context(), io.Discard, must1(os.Open(to)), -1)
	if err != nil || Check(again, got) != nil {
		t.Errorf("%v, %+v, %+v", err, again, got)
	}
}

func must1(f *os.File, err error) *os.File {
	if err != nil {
		panic(err)
	}
	return f
}

// What the kernel makes up when it is read has no size, and is read all the same.
func TestMadeUpFiles(t *testing.T) {
	r, err := Look(t.Context(), "/proc/self/status", false)
	must(t, err)
	var b bytes.Buffer
	sum, err := Send(t.Context(), &b, "/proc/self/status", r)
	if err != nil || sum.Bytes == 0 || !strings.HasPrefix(b.String(), "Name:") {
		t.Errorf("%+v, %v, %q", sum, err, b.String())
	}
}

// FuzzUnpack: no archive writes beside the folder it is unpacked into.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, tar.Header{Name: "a/b", Size: 3}, tar.Header{Name: "a/", Mode: 0o755, Typeflag: tar.TypeDir}))
	f.Add(archive(f, tar.Header{Name: "l", Linkname: "../../out", Typeflag: tar.TypeSymlink}, tar.Header{Name: "l/f", Size: 3}))
	f.Add(archive(f, tar.Header{Name: "l", Linkname: "/tmp", Typeflag: tar.TypeSymlink}, tar.Header{Name: "l", Mode: 0o777, Typeflag: tar.TypeDir}))
	f.Add(archive(f, tar.Header{Name: "../../x", Size: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		outside := t.TempDir()
		must(t, os.WriteFile(filepath.Join(outside, "out"), []byte("out"), 0o600))
		inside := filepath.Join(outside, "in")
		must(t, os.Mkdir(inside, 0o700))
		before := tree(t, outside)
		target, err := Create(filepath.Join(inside, "x"), "x", api.ChannelReady{Folder: true, Bytes: 1 << 20})
		must(t, err)
		_, err = target.Fill(t.Context(), bytes.NewReader(data))
		if err == nil {
			err = target.Commit()
		}
		target.Abort()
		if list, _ := os.ReadDir(inside); err != nil && len(list) > 0 {
			t.Fatalf("%v is left after %v", list, err)
		}
		_ = filepath.WalkDir(inside, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
		must(t, os.RemoveAll(filepath.Join(inside, "x")))
		after := tree(t, outside)
		if stripTimes(after) != stripTimes(before) {
			t.Fatalf("outside is now\n%s\nand was\n%s", after, before)
		}
	})
}

// stripTimes leaves out the times of folders, in which something was made.
func stripTimes(tree string) string {
	lines := strings.Split(tree, "\n")
	for i, l := range lines {
		if field := strings.Fields(l); strings.HasPrefix(field[1], "d") {
			lines[i] = field[0] + " " + field[1]
		}
	}
	return strings.Join(lines, "\n")
}
