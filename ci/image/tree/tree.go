// Package tree holds the files of a layer while it is put together: what
// packages brought, what was left out, what was written by us.
//
// It promises that owners, modes and special files are what was asked for,
// whoever builds (nothing is unpacked into a file system), and that the same
// files give the same stream, in whatever order they were put in. Paths are
// merged into /usr as they come. Contents wait in one temporary file that has
// no name, so that a build that is killed leaves nothing.
package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// A File is one entry of a tree.
type File struct {
	Type     byte // a tar type: TypeReg, TypeDir, TypeSymlink, TypeChar, …
	Mode     int64
	UID, GID int
	Link     string // what a symbolic link says
	Content  Blob
	Major    int64
	Minor    int64
}

// A Tree is a set of files by path; paths have no slash in front.
type Tree struct{ files map[string]*File }

// New returns an empty tree whose top is a directory of root's.
func New() *Tree { return &Tree{files: map[string]*File{}} }

// merged are the folders of the top that live in /usr.
var merged = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// Merge returns where a path is after /bin, /lib and so on moved into /usr.
func Merge(p string) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	first, _, _ := strings.Cut(p, "/")
	if slices.Contains(merged, first) {
		return "usr/" + p
	}
	return p
}

// Put adds a file, with the folders above it that are missing. A folder that
// is there already keeps what is in it.
func (t *Tree) Put(p string, f File) {
	p = Merge(p)
	if p == "" {
		return
	}
	t.files[p] = &f
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if _, is := t.files[dir]; is {
			return
		}
		t.files[dir] = &File{Type: tar.TypeDir, Mode: 0o755}
	}
}

// Dir adds a folder of root's.
func (t *Tree) Dir(p string, mode int64) { t.Put(p, File{Type: tar.TypeDir, Mode: mode}) }

// Link adds a symbolic link.
func (t *Tree) Link(p, to string) {
	t.Put(p, File{Type: tar.TypeSymlink, Mode: 0o777, Link: to})
}

// Write adds a file of root's with this content.
func (t *Tree) Write(p string, mode int64, content []byte) {
	t.Put(p, File{Type: tar.TypeReg, Mode: mode, Content: Bytes(content)})
}

// Get returns the file at p, nil if there is none.
func (t *Tree) Get(p string) *File {
	if f := t.files[p]; f != nil {
		return f
	}
	return t.files[Merge(p)]
}

// Remove takes p away, with all that is below it.
func (t *Tree) Remove(p string) {
	p = Merge(p)
	delete(t.files, p)
	for other := range t.files {
		if strings.HasPrefix(other, p+"/") {
			delete(t.files, other)
		}
	}
}

// Filter removes what keep does not want, and says how much that was; folders
// stay. keep sees the tree as it was before, in whatever order it is asked.
func (t *Tree) Filter(keep func(p string, f *File) bool) int {
	var out []string
	for p, f := range t.files {
		if f.Type != tar.TypeDir && !keep(p, f) {
			out = append(out, p)
		}
	}
	for _, p := range out {
		delete(t.files, p)
	}
	return len(out)
}

// Prune removes folders in which nothing is left, except those named.
func (t *Tree) Prune(except ...string) {
	paths := t.Paths()
	slices.Reverse(paths) // what is below comes before what is above
	filled := map[string]bool{}
	for _, p := range paths {
		if t.files[p].Type == tar.TypeDir && !filled[p] && !slices.Contains(except, p) {
			delete(t.files, p)
			continue
		}
		filled[path.Dir(p)] = true
	}
}

// Paths returns all paths, sorted: a folder comes before what is in it.
func (t *Tree) Paths() []string { return slices.Sorted(maps.Keys(t.files)) }

// AddTar adds an entry of a package's archive. Links to files of the same
// archive share the content.
func (t *Tree) AddTar(h *tar.Header, r io.Reader, spool *Spool) error {
	p := Merge(h.Name)
	if p == "" || slices.Contains(mergedAt(), p) {
		return nil
	}
	f := File{Type: h.Typeflag, Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid, Link: h.Linkname, Major: h.Devmajor, Minor: h.Devminor}
	switch h.Typeflag {
	case tar.TypeReg:
		b, err := spool.Keep(r)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		f.Content = b
	case tar.TypeLink:
		other := t.Get(h.Linkname)
		if other == nil {
			return fmt.Errorf("%s is a link to %s, which did not come before it", p, h.Linkname)
		}
		f = *other
	case tar.TypeDir:
		if old := t.Get(p); old != nil && old.Type != tar.TypeDir {
			return nil // a link to a folder stays a link
		}
	case tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	default:
		return fmt.Errorf("%s: entries of type %q are not known", p, h.Typeflag)
	}
	t.Put(p, f)
	return nil
}

func mergedAt() []string {
	at := []string{"usr"}
	for _, m := range merged {
		at = append(at, "usr/"+m)
	}
	return at
}

// WriteTar writes the tree, sorted, all of one time.
func (t *Tree) WriteTar(w io.Writer, when time.Time) error {
	tw := tar.NewWriter(w)
	for _, p := range t.Paths() {
		f := t.files[p]
		h := &tar.Header{
			Name: p, Typeflag: f.Type, Mode: f.Mode, Uid: f.UID, Gid: f.GID, Linkname: f.Link,
			Devmajor: f.Major, Devminor: f.Minor, Size: f.Content.Size(), ModTime: when, Format: tar.FormatGNU,
		}
		if f.Type == tar.TypeDir {
			h.Name += "/"
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if _, err := io.Copy(tw, f.Content.Reader()); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return tw.Close()
}

// A Blob is the content of a file, wherever it waits. The zero Blob is empty.
type Blob struct {
	from io.ReaderAt
	at   int64
	size int64
}

// Bytes returns a blob of these bytes.
func Bytes(b []byte) Blob { return Blob{from: bytes.NewReader(b), size: int64(len(b))} }

// Size returns the number of bytes.
func (b Blob) Size() int64 { return b.size }

// Reader reads the content from its start; as often as one likes.
func (b Blob) Reader() *io.SectionReader {
	if b.from == nil {
		return io.NewSectionReader(bytes.NewReader(nil), 0, 0)
	}
	return io.NewSectionReader(b.from, b.at, b.size)
}

// Read returns the whole content.
func (b Blob) Read() ([]byte, error) { return io.ReadAll(b.Reader()) }

// A Spool keeps contents in a file without a name.
type Spool struct {
	f   *os.File
	end int64
}

// NewSpool makes a spool in a folder; its space is given back when it is
// closed, or its process ends.
func NewSpool(dir string) (*Spool, error) {
	f, err := os.CreateTemp(dir, ".spool-*")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	return &Spool{f: f}, errors.Join(os.Remove(f.Name()))
}

// Keep reads r to its end and returns what it said.
func (s *Spool) Keep(r io.Reader) (Blob, error) {
	n, err := io.Copy(io.NewOffsetWriter(s.f, s.end), r)
	if err != nil {
		return Blob{}, fmt.Errorf("keeping it in a temporary file: %w", err)
	}
	b := Blob{from: s.f, at: s.end, size: n}
	s.end += n
	return b, nil
}

// Close gives the space back.
func (s *Spool) Close() error { return s.f.Close() }

// IsFile says that f is a regular file somebody may execute.
func (f *File) IsFile() bool { return f.Type == tar.TypeReg }

// Perm is the mode as io/fs knows it.
func (f *File) Perm() fs.FileMode { return fs.FileMode(f.Mode & 0o777) }

// Symlink is a symbolic link.
func Symlink(to string) File { return File{Type: tar.TypeSymlink, Mode: 0o777, Link: to} }

// Folder is a folder of root's.
func Folder(mode int64) File { return File{Type: tar.TypeDir, Mode: mode} }

// Has says that there is something at exactly this path.
func (t *Tree) Has(p string) bool { return t.files[p] != nil }

// PutTop adds a file under exactly this path, which is not merged into /usr.
func (t *Tree) PutTop(p string, f File) { t.files[p] = &f }
