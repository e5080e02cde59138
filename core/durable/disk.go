package durable

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is what the algorithms of this package stand on. Its methods are those
// of package os, errors included, and promise nothing by themselves: what was
// written or renamed may be lost in a power cut until it is synced.
type Disk interface {
	ReadFile(path string) ([]byte, error)
	ReadDir(dir string) ([]fs.DirEntry, error)
	Readlink(path string) (string, error)
	Stat(path string) (fs.FileInfo, error)
	Lstat(path string) (fs.FileInfo, error)

	// Create makes a file that must not exist, with exactly this mode.
	Create(path string, mode fs.FileMode) (File, error)
	MkdirAll(dir string, mode fs.FileMode) error
	Link(from, to string) error
	Symlink(target, path string) error
	Rename(from, to string) error
	Remove(path string) error
	RemoveAll(path string) error
	Chmod(path string, mode fs.FileMode) error

	// SyncDir makes the entries of a folder durable.
	SyncDir(dir string) error
	// SyncAll makes everything durable, if the disk answers in time.
	SyncAll()
}

// File is a new file that is being written. Close does not sync.
type File interface {
	Write(data []byte) (int, error)
	Sync() error
	Close() error
}

// OS is the file system of this machine.
var OS Disk = machine{}

type machine struct{}

func (machine) ReadFile(path string) ([]byte, error)      { return os.ReadFile(path) }
func (machine) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }
func (machine) Readlink(path string) (string, error)      { return os.Readlink(path) }
func (machine) Stat(path string) (fs.FileInfo, error)     { return os.Stat(path) }
func (machine) Lstat(path string) (fs.FileInfo, error)    { return os.Lstat(path) }
func (machine) MkdirAll(dir string, m fs.FileMode) error  { return os.MkdirAll(dir, m) }
func (machine) Link(from, to string) error                { return os.Link(from, to) }
func (machine) Symlink(target, path string) error         { return os.Symlink(target, path) }
func (machine) Rename(from, to string) error              { return os.Rename(from, to) }
func (machine) Remove(path string) error                  { return os.Remove(path) }
func (machine) RemoveAll(path string) error               { return os.RemoveAll(path) }
func (machine) Chmod(path string, m fs.FileMode) error    { return os.Chmod(path, m) }

// Create sets the mode again where the umask has cut the one given to open.
func (machine) Create(path string, mode fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && st.Mode() != mode {
		err = f.Chmod(mode)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (machine) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncLimit is for other disks, which are written too and may be slow or dead.
const syncLimit = 10 * time.Second

func (machine) SyncAll() {
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
}
