// Package durable replaces files so that a power cut or a kill -9 leaves
// either the old content or the new one, whole, and never neither.
//
// It promises that when a function returns without error the new content
// survives a power cut, and that before that readers see the old content. It
// does not lock: one writer a path.
package durable

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path: temporary file beside it, fsync, rename,
// fsync of the folder. What a killed writer left behind is overwritten.
func Write(path string, data []byte, mode fs.FileMode) error {
	if err := write(path, data, mode); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}

func write(path string, data []byte, mode fs.FileMode) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := create(temp, data, mode); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// create writes and syncs a file that must not exist. Chmod, because the mode
// given to open is cut by the umask.
func create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// Symlink points the symbolic link at path to target, replacing what is there.
func Symlink(target, path string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("point %s to %s: %w", path, target, err)
	}
	if err := os.Symlink(target, temp); err != nil {
		return fmt.Errorf("point %s to %s: %w", path, target, err)
	}
	return Rename(temp, path)
}

// Rename moves a file, link or folder within one folder, durably. A folder
// takes nothing's place: os.Rename refuses that.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return SyncDir(filepath.Dir(to))
}

// SyncDir makes the entries of a folder durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
