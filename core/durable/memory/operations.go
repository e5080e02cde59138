package memory

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/g8os/g8os/core/durable"
)

// there finds what must exist.
func (d *Disk) there(op, path string, follow bool) (entry, error) {
	at, err := d.find(path, follow)
	if err == nil && at.node == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return entry{}, failed(op, path, err)
	}
	return at, nil
}

// free finds a place where nothing may be yet.
func (d *Disk) free(op, path string) (entry, error) {
	at, err := d.find(path, false)
	if err == nil && at.node != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return entry{}, failed(op, path, err)
	}
	return at, nil
}

// put fills a free place.
func (d *Disk) put(at entry, n *node) {
	d.record(change{set: entry{at.dir, at.name, n}})
}

// ReadFile returns a copy of a file's content.
func (d *Disk) ReadFile(path string) ([]byte, error) {
	at, err := d.there("read", path, true)
	if err != nil {
		return nil, err
	}
	if at.node.mode.IsDir() {
		return nil, failed("read", path, syscall.EISDIR)
	}
	return append([]byte{}, at.node.data...), nil
}

// ReadDir lists a folder, sorted by name.
func (d *Disk) ReadDir(dir string) ([]fs.DirEntry, error) {
	at, err := d.there("readdir", dir, true)
	if err != nil {
		return nil, err
	}
	if !at.node.mode.IsDir() {
		return nil, failed("readdir", dir, syscall.ENOTDIR)
	}
	var list []fs.DirEntry
	for name, n := range at.node.entries {
		list = append(list, fs.FileInfoToDirEntry(info{name, n}))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Readlink tells where a link leads.
func (d *Disk) Readlink(path string) (string, error) {
	at, err := d.there("readlink", path, false)
	if err != nil {
		return "", err
	}
	if at.node.mode&fs.ModeSymlink == 0 {
		return "", failed("readlink", path, syscall.EINVAL)
	}
	return at.node.target, nil
}

// Stat describes what a path leads to.
func (d *Disk) Stat(path string) (fs.FileInfo, error) { return d.describe("stat", path, true) }

// Lstat describes what is at a path, also a link.
func (d *Disk) Lstat(path string) (fs.FileInfo, error) { return d.describe("lstat", path, false) }

func (d *Disk) describe(op, path string, follow bool) (fs.FileInfo, error) {
	at, err := d.there(op, path, follow)
	if err != nil {
		return nil, err
	}
	return info{filepath.Base(path), at.node}, nil
}

// Create makes an empty file.
func (d *Disk) Create(path string, mode fs.FileMode) (durable.File, error) {
	if err := d.allow("create", path, false); err != nil {
		return nil, err
	}
	at, err := d.free("create", path)
	if err != nil {
		return nil, err
	}
	n := &node{mode: mode.Perm()}
	d.put(at, n)
	d.dirty = append(d.dirty, n)
	return &file{disk: d, node: n, path: path, cuts: d.cuts}, nil
}

// MkdirAll makes a folder and those above it that are missing.
func (d *Disk) MkdirAll(dir string, mode fs.FileMode) error {
	names := split(dir)
	for i := range names {
		path := "/" + filepath.Join(names[:i+1]...)
		at, err := d.find(path, true)
		switch {
		case err != nil:
			return failed("mkdir", path, err)
		case at.node != nil && !at.node.mode.IsDir():
			return failed("mkdir", path, syscall.ENOTDIR)
		case at.node != nil:
			continue
		}
		if err := d.allow("mkdir", path, true); err != nil {
			return err
		}
		d.put(at, newFolder(mode))
	}
	return nil
}

// Link gives a file a second name.
func (d *Disk) Link(from, to string) error {
	if err := d.allow("link", to, true); err != nil {
		return err
	}
	old, err := d.there("link", from, false)
	if err != nil {
		return err
	}
	if old.node.mode.IsDir() {
		return failed("link", from, syscall.EPERM)
	}
	at, err := d.free("link", to)
	if err != nil {
		return err
	}
	d.put(at, old.node)
	return nil
}

// Symlink makes a link.
func (d *Disk) Symlink(target, path string) error {
	if err := d.allow("symlink", path, true); err != nil {
		return err
	}
	at, err := d.free("symlink", path)
	if err != nil {
		return err
	}
	d.put(at, &node{mode: fs.ModeSymlink | 0o777, target: target})
	return nil
}

// Rename moves what is at from, in place of a file or link, never of a folder.
// Two names of one file stay, as rename(2) has it.
func (d *Disk) Rename(from, to string) error {
	if err := d.allow("rename", to, false); err != nil {
		return err
	}
	old, err := d.there("rename", from, false)
	if err != nil {
		return err
	}
	at, err := d.find(to, false)
	switch {
	case err != nil:
		return failed("rename", to, err)
	case at.node == old.node && !at.node.mode.IsDir():
		return nil
	case at.node != nil && at.node.mode.IsDir():
		return failed("rename", to, syscall.EEXIST)
	case at.node != nil && old.node.mode.IsDir():
		return failed("rename", to, syscall.ENOTDIR)
	case slices.Equal(split(from), split(to)[:min(len(split(from)), len(split(to)))]):
		return failed("rename", to, syscall.EINVAL) // into itself
	}
	d.record(change{drop: old, set: entry{at.dir, at.name, old.node}})
	return nil
}

// Remove removes a file, a link, or a folder that is empty.
func (d *Disk) Remove(path string) error {
	if err := d.allow("remove", path, false); err != nil {
		return err
	}
	at, err := d.there("remove", path, false)
	switch {
	case err != nil:
		return err
	case at.dir == nil:
		return failed("remove", path, syscall.EBUSY)
	case len(at.node.entries) > 0:
		return failed("remove", path, syscall.ENOTEMPTY)
	}
	d.record(change{drop: at})
	return nil
}

// RemoveAll removes what is at a path and below, if anything is.
func (d *Disk) RemoveAll(path string) error {
	at, err := d.find(path, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("remove", path, err)
	}
	if at.node == nil {
		return nil
	}
	for _, name := range names(at.node.entries) {
		if err := d.RemoveAll(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return d.Remove(path)
}

// Chmod changes a mode, which is durable at once: nothing here depends on it.
func (d *Disk) Chmod(path string, mode fs.FileMode) error {
	if err := d.allow("chmod", path, false); err != nil {
		return err
	}
	at, err := d.there("chmod", path, true)
	if err != nil {
		return err
	}
	at.node.mode = at.node.mode.Type() | mode.Perm()
	return nil
}
