// Package durable replaces files so that a power cut or a kill -9 leaves
// either the old content or the new one, whole, and never neither.
//
// It promises that when a function returns without error the new content
// survives a power cut, and that before that readers see the old content. It
// does not lock: one writer a path. The disk is an argument, so that the same
// steps run on a machine (OS) and on one that loses its power (memory).
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Write replaces the file at path: temporary file beside it, fsync, rename,
// fsync of the folder. What a killed writer left behind is overwritten.
func Write(d Disk, path string, data []byte, mode fs.FileMode) error {
	if err := write(d, path, data, mode); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}

func write(d Disk, path string, data []byte, mode fs.FileMode) error {
	if err := replace(d, path, data, mode); err != nil {
		return err
	}
	return SyncDir(d, filepath.Dir(path))
}

// replace is what comes before the folder is synced.
func replace(d Disk, path string, data []byte, mode fs.FileMode) error {
	temp := path + ".new"
	if err := anew(d, temp, func() error { return create(d, temp, data, mode) }); err != nil {
		return err
	}
	return d.Rename(temp, path)
}

// New is a file for WriteAll.
type New struct {
	Name string
	Data []byte
	Mode fs.FileMode
}

// WriteAll is Write for several files of one folder, which is synced once. Each
// of them is old or new after a power cut, whatever the others are.
func WriteAll(d Disk, dir string, files ...New) error {
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := replace(d, path, f.Data, f.Mode); err != nil {
			return fmt.Errorf("replace %s: %w", path, err)
		}
	}
	return SyncDir(d, dir)
}

// anew makes what must not exist. What a killed writer has left there is
// removed: that is rare, so nobody looks for it first.
func anew(d Disk, temp string, make func() error) error {
	err := make()
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.Remove(temp); err != nil {
		return err
	}
	return make()
}

// create writes and syncs a file that must not exist.
func create(d Disk, path string, data []byte, mode fs.FileMode) error {
	f, err := d.Create(path, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// Symlink points the symbolic link at path to target, replacing what is there.
func Symlink(d Disk, target, path string) error {
	temp := path + ".new"
	if err := anew(d, temp, func() error { return d.Symlink(target, temp) }); err != nil {
		return fmt.Errorf("point %s to %s: %w", path, target, err)
	}
	return Rename(d, temp, path)
}

// Rename moves a file, link or folder within one folder, durably. A folder
// takes nothing's place: the rename of package os refuses that.
func Rename(d Disk, from, to string) error {
	if err := d.Rename(from, to); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return SyncDir(d, filepath.Dir(to))
}

// MkdirAll makes a folder and those above it that are missing. A file system
// that encrypts (gocryptfs) has a file of its own in each folder, which it does
// not sync: after a power cut it was empty and all in the folder lost. Nobody
// but the kernel can reach it, so everything is written.
func MkdirAll(d Disk, dir string, mode fs.FileMode) error {
	if st, err := d.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	if err := d.MkdirAll(dir, mode); err != nil {
		return err
	}
	d.SyncAll()
	return SyncDir(d, filepath.Dir(dir))
}

// SyncDir makes the entries of a folder durable.
func SyncDir(d Disk, dir string) error {
	if err := d.SyncDir(dir); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
