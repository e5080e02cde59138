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
	"time"

	"golang.org/x/sys/unix"
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

// syncLimit is for other disks, which are written too and may be slow or dead.
const syncLimit = 10 * time.Second

// MkdirAll makes a folder and those above it that are missing. A file system
// that encrypts (gocryptfs) has a file of its own in each folder, which it does
// not sync: after a power cut it was empty and all in the folder lost. Nobody
// but the kernel can reach it, so everything is written.
func MkdirAll(dir string, mode fs.FileMode) error {
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	written := make(chan struct{})
	go func() {
		unix.Sync()
		close(written)
	}()
	limit := time.NewTimer(syncLimit)
	defer limit.Stop()
	select {
	case <-written:
	case <-limit.C: // it goes on, and may have reached this disk already
	}
	return SyncDir(filepath.Dir(dir))
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
