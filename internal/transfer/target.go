package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
)

// spare is how many bytes are to be free when all is written: full disks break
// more than a copy.
const spare = 1 << 20

// Target is a file or folder that is being written. Abort must be called at the
// end, whatever the end is.
type Target struct {
	what  api.ChannelReady
	root  *os.Root // the folder it goes into, or the one it is merged into
	stage string   // its name there until it is whole
	name  string   // its name there in the end; ".": what is staged goes into root
}

// Create prepares to write what r describes: at dest, or under its name in dest
// if that is a folder.
func Create(dest, name string, r api.ChannelReady) (*Target, error) {
	st, err := os.Stat(dest)
	switch {
	case err == nil && st.IsDir():
		dest = filepath.Join(dest, name)
	case strings.HasSuffix(dest, "/.") || strings.HasSuffix(dest, "/") && !r.Folder:
		return nil, fmt.Errorf("%s: there is no such folder", dest)
	}
	t := &Target{what: r, name: filepath.Base(dest), stage: ".g8os-" + rand.Text()}
	folder := filepath.Dir(filepath.Clean(dest))
	switch st, err := os.Lstat(filepath.Clean(dest)); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case r.Folder && st.IsDir():
		folder, t.name = dest, "."
	case r.Folder:
		return nil, fmt.Errorf("%s is there already, and is no folder", dest)
	case !st.Mode().IsRegular() && st.Mode().Type() != fs.ModeSymlink: // a link is replaced, not followed
		return nil, fmt.Errorf("%s is there already, and is no file", dest)
	}
	if t.root, err = os.OpenRoot(folder); err != nil {
		return nil, err
	}
	if err := t.room(folder); err != nil {
		_ = t.root.Close()
		return nil, err
	}
	return t, nil
}

// room refuses what does not fit on the disk.
func (t *Target) room(folder string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil || t.what.Bytes < 0 {
		return err
	}
	need := t.what.Bytes
	if t.what.OnDisk > 0 {
		need = min(need, t.what.OnDisk)
	}
	if free := st.Bavail * uint64(st.Bsize); free < spare || uint64(need) > free-spare {
		return fmt.Errorf("%s: no space left: %d bytes are needed, %d are free", folder, need, free)
	}
	return nil
}

// Fill writes what it reads, up to the end, under the name that it has until
// it is whole.
func (t *Target) Fill(ctx context.Context, data io.Reader) (api.ChannelSum, error) {
	s := newSumming(nil)
	data = io.TeeReader(data, s)
	var err error
	if t.what.Folder {
		err = t.fillFolder(ctx, data)
	} else {
		err = t.fillFile(ctx, data)
	}
	return s.sum(), err
}

func (t *Target) fillFile(ctx context.Context, data io.Reader) error {
	f, err := t.root.OpenFile(t.stage, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := fill(ctx, f, data, t.what.Bytes); err != nil {
		return err
	}
	if err := f.Chmod(fileMode(t.what.Mode)); err != nil {
		return err
	}
	if err := t.times(t.stage, t.what.ModTime); err != nil {
		return err
	}
	return f.Sync()
}

func (t *Target) times(name string, when time.Time) error {
	if when.IsZero() {
		return nil
	}
	return t.root.Chtimes(name, when, when)
}

// fill writes at most so many bytes; -1: no limit.
func fill(ctx context.Context, f *os.File, data io.Reader, most int64) error {
	h := &holed{f: f, most: most}
	if err := copyAll(ctx, h, data); err != nil {
		return err
	}
	return f.Truncate(h.at)
}

// hole is the size of what is left out when it is all zero.
const hole = 4 << 10

// holed writes a file and leaves holes where there are only zeros.
type holed struct {
	f        *os.File
	at, most int64
}

func (h *holed) Write(p []byte) (int, error) {
	if h.most >= 0 && int64(len(p)) > h.most-h.at {
		return 0, fmt.Errorf("more comes than the %d bytes that were announced", h.most)
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), hole-int(h.at%hole))
		if !zero(rest[:n]) {
			for n < len(rest) && !zero(rest[n:min(len(rest), n+hole)]) {
				n = min(len(rest), n+hole)
			}
			if _, err := h.f.WriteAt(rest[:n], h.at); err != nil {
				return 0, err
			}
		}
		h.at, rest = h.at+int64(n), rest[n:]
	}
	return len(p), nil
}

func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// Commit gives what is whole its name.
func (t *Target) Commit() error {
	d, err := t.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	if t.what.Folder {
		if err := unix.Syncfs(int(d.Fd())); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	if t.name == "." {
		err = t.merge()
	} else {
		err = t.root.Rename(t.stage, t.name)
	}
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// Abort removes what has not got its name.
func (t *Target) Abort() {
	if t.root.RemoveAll(t.stage) != nil { // a folder that may not be written to
		_ = fs.WalkDir(t.root.FS(), t.stage, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = t.root.Chmod(name, 0o700)
			}
			return err
		})
		_ = t.root.RemoveAll(t.stage)
	}
	_ = t.root.Close()
}
