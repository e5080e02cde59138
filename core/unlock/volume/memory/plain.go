package memory

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/g8os/g8os/core/durable"
)

// Disk is what the machine's processes see: below the mount point the content
// of the volume while it is mounted, ENOTCONN while its daemon is dead, and
// otherwise what the disk itself has there, in clear, as on a real machine.
func (v *Volume) Disk() durable.Disk { return plain{v} }

type plain struct{ v *Volume }

// at is where a path leads.
func (p plain) at(path string) (string, error) {
	below, err := filepath.Rel(p.v.mount, filepath.Clean(path))
	switch {
	case err != nil || below == ".." || strings.HasPrefix(below, "../"):
		return path, nil
	case p.v.dead:
		return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTCONN}
	case p.v.mounted:
		return filepath.Join(p.v.cipher, content, below), nil
	}
	return path, nil
}

// with does something at the place of a path.
func with[T any](p plain, path string, do func(path string) (T, error)) (T, error) {
	at, err := p.at(path)
	if err != nil {
		var none T
		return none, err
	}
	return do(at)
}

func (p plain) do(path string, do func(path string) error) error {
	at, err := p.at(path)
	if err != nil {
		return err
	}
	return do(at)
}

func (p plain) both(from, to string, do func(from, to string) error) error {
	return p.do(from, func(from string) error {
		return p.do(to, func(to string) error { return do(from, to) })
	})
}

func (p plain) ReadFile(path string) ([]byte, error)      { return with(p, path, p.v.disk.ReadFile) }
func (p plain) ReadDir(dir string) ([]fs.DirEntry, error) { return with(p, dir, p.v.disk.ReadDir) }
func (p plain) Readlink(path string) (string, error)      { return with(p, path, p.v.disk.Readlink) }
func (p plain) Stat(path string) (fs.FileInfo, error)     { return with(p, path, p.v.disk.Stat) }
func (p plain) Lstat(path string) (fs.FileInfo, error)    { return with(p, path, p.v.disk.Lstat) }
func (p plain) Link(from, to string) error                { return p.both(from, to, p.v.disk.Link) }
func (p plain) Rename(from, to string) error              { return p.both(from, to, p.v.disk.Rename) }
func (p plain) Remove(path string) error                  { return p.do(path, p.v.disk.Remove) }
func (p plain) RemoveAll(path string) error               { return p.do(path, p.v.disk.RemoveAll) }
func (p plain) SyncDir(dir string) error                  { return p.do(dir, p.v.disk.SyncDir) }
func (p plain) SyncAll()                                  { p.v.disk.SyncAll() }

func (p plain) Create(path string, mode fs.FileMode) (durable.File, error) {
	return with(p, path, func(at string) (durable.File, error) { return p.v.disk.Create(at, mode) })
}

func (p plain) MkdirAll(dir string, mode fs.FileMode) error {
	return p.do(dir, func(at string) error { return p.v.disk.MkdirAll(at, mode) })
}

func (p plain) Symlink(target, path string) error {
	return p.do(path, func(at string) error { return p.v.disk.Symlink(target, at) })
}

func (p plain) Chmod(path string, mode fs.FileMode) error {
	return p.do(path, func(at string) error { return p.v.disk.Chmod(at, mode) })
}
