package tree

import (
	"archive/tar"
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

var when = time.Unix(1700000000, 0)

func stream(t *testing.T, tr *Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tr.WriteTar(&b, when); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entries are the lines of a stream: type, mode, owner, path, link, content.
func entries(t *testing.T, b []byte) map[string]*tar.Header {
	t.Helper()
	found := map[string]*tar.Header{}
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if err != nil {
			return found
		}
		if !h.ModTime.Equal(when) {
			t.Errorf("%s is of %s", h.Name, h.ModTime)
		}
		found[strings.TrimSuffix(h.Name, "/")] = h
	}
}

func TestMerge(t *testing.T) {
	for in, want := range map[string]string{
		"./bin/ls": "usr/bin/ls", "/lib64/ld.so": "usr/lib64/ld.so", "usr/bin/ls": "usr/bin/ls", "etc/passwd": "etc/passwd",
		"library/x": "library/x", "./": "", "../../etc/x": "etc/x",
	} {
		if got := Merge(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	a, b := New(), New()
	a.Write("etc/x", 0o644, []byte("1"))
	a.Link("bin/y", "z")
	b.Link("bin/y", "z")
	b.Write("etc/x", 0o644, []byte("1"))
	if !bytes.Equal(stream(t, a), stream(t, b)) {
		t.Error("the same files give different streams")
	}
}

// What packages say of owners and modes arrives, whoever runs the build.
func TestWhatAPackageSays(t *testing.T) {
	spool, err := NewSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	tr := New()
	for _, f := range []struct {
		h    tar.Header
		text string
	}{
		{tar.Header{Typeflag: tar.TypeDir, Name: "./bin/", Mode: 0o700}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "./bin/mount", Mode: 0o4755, Gid: 6}, "program"},
		{tar.Header{Typeflag: tar.TypeLink, Name: "./bin/other", Linkname: "./bin/mount"}, ""},
		{tar.Header{Typeflag: tar.TypeChar, Name: "./dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""},
	} {
		if err := tr.AddTar(&f.h, strings.NewReader(f.text), spool); err != nil {
			t.Fatal(err)
		}
	}
	got := entries(t, stream(t, tr))
	if h := got["usr/bin/mount"]; h == nil || h.Mode != 0o4755 || h.Gid != 6 || h.Size != 7 {
		t.Errorf("usr/bin/mount is %+v", h)
	}
	if h := got["usr/bin/other"]; h == nil || h.Typeflag != tar.TypeReg || h.Size != 7 || h.Mode != 0o4755 {
		t.Errorf("the hard link is %+v", h)
	}
	if h := got["dev/null"]; h == nil || h.Typeflag != tar.TypeChar || h.Devminor != 3 {
		t.Errorf("dev/null is %+v", h)
	}
	if h := got["usr/bin"]; h == nil || h.Mode != 0o755 {
		t.Errorf("usr/bin is %+v, want one folder of 0755 for all packages", h)
	}
	bad := tar.Header{Typeflag: tar.TypeLink, Name: "x", Linkname: "nowhere"}
	if err := tr.AddTar(&bad, nil, spool); err == nil {
		t.Error("a link to nothing is taken")
	}
}

func TestPruneAndFilter(t *testing.T) {
	tr := New()
	tr.Write("usr/share/doc/x/README", 0o644, nil)
	tr.Write("usr/bin/x", 0o755, nil)
	tr.Dir("run", 0o755)
	tr.Filter(func(p string, _ *File) bool { return !strings.HasPrefix(p, "usr/share/doc/") })
	tr.Prune("run")
	if got := strings.Join(tr.Paths(), " "); got != "run usr usr/bin usr/bin/x" {
		t.Errorf("left are %s", got)
	}
}

func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	spool, err := NewSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	first, _ := spool.Keep(strings.NewReader("one"))
	second, _ := spool.Keep(strings.NewReader("second"))
	for b, want := range map[Blob]string{first: "one", second: "second"} {
		for range 2 { // as often as one likes
			if got, err := b.Read(); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is in the folder while a build runs: a killed build would leave it", left)
	}
}
