// Package keyfile reads and makes the small files that hold an AC's outermost
// keys: the master key and the root CA's.
//
// It promises that a key file is whole or not there, is overwritten by Replace
// only, is refused when anybody but its owner can read it, and does not lie
// where the data lies. What is in the file is the caller's business.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxSize bounds what is read: a key file is small.
const maxSize = 64 << 10

// ErrExposed is wrapped when others can read the file, or when it lies with
// the data.
var ErrExposed = errors.New("the key is not kept safe")

// Read returns the content of a key file. Errors wrap fs.ErrNotExist or
// ErrExposed.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if err := private(path, info); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	return b, nil
}

func private(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("key file %s: is a %s, want a regular file", path, info.Mode().Type())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("key file %s: %w: its mode is %04o, want 0600; run chmod 600, and think about who has read it", path, ErrExposed, mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("key file %s: %w: it belongs to user %d, want root or user %d", path, ErrExposed, st.Uid, os.Geteuid())
	}
	return nil
}

// Create makes a key file of mode 0600, durably, and its folder with mode 0700
// if that is not there. It fails with fs.ErrExist rather than replace one.
func Create(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of a key file: %w", err)
	}
	return write(path, content, os.Link) // unlike rename, link replaces nothing
}

// Replace puts other content into a key file that is there: after a crash it has
// the old or the new one.
func Replace(path string, content []byte) error {
	if _, err := Read(path); err != nil {
		return err
	}
	return write(path, content, os.Rename)
}

// write makes a file of mode 0600 beside path, and puts it in place durably.
func write(path string, content []byte, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write key file %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write key file %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Outside refuses a key file that lies in the data folder, however either is
// spelled: whoever copies the data would have the key too.
func Outside(path, dataDir string) error {
	file, err := real(path)
	if err != nil {
		return err
	}
	dir, err := real(dataDir)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(dir, file); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return fmt.Errorf("key file %s: %w: it lies in the data folder %s, put it elsewhere", path, ErrExposed, dataDir)
	}
	return nil
}

// real resolves the links in the part of a path that exists.
func real(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("key file: %w", err)
	}
	rest := ""
	for at := path; ; at = filepath.Dir(at) {
		resolved, err := filepath.EvalSymlinks(at)
		if err == nil {
			return filepath.Join(resolved, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || at == "/" {
			return "", fmt.Errorf("key file: %w", err)
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}
