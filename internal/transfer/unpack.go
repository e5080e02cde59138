package transfer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
)

// afterEnd is how much may follow the end of a tar stream: padding.
const afterEnd = 1 << 20

func (t *Target) fillFolder(ctx context.Context, data io.Reader) error {
	if err := t.root.Mkdir(t.stage, 0o700); err != nil {
		return err
	}
	root, err := t.root.OpenRoot(t.stage)
	if err != nil {
		return err
	}
	defer root.Close()
	u := unpacker{ctx: ctx, root: root, most: t.what.Bytes}
	r := tar.NewReader(data)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = u.entry(h, r)
		}
		if err != nil {
			return err
		}
	}
	n, err := io.Copy(io.Discard, io.LimitReader(data, afterEnd+1))
	if err == nil && n > afterEnd {
		err = errors.New("the tar stream goes on behind its end")
	}
	return err
}

// unpacker writes the entries of a tar stream into a folder that it does not
// leave: an os.Root follows no link and no name out of it.
type unpacker struct {
	ctx  context.Context
	root *os.Root
	most int64 // bytes of all files together
}

func (u *unpacker) entry(h *tar.Header, data io.Reader) error {
	name := path.Clean(h.Name)
	if !filepath.IsLocal(name) {
		return fmt.Errorf("entry %q leads out of the folder", api.Shown(h.Name, 256))
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.root.MkdirAll(name, 0o700); err != nil {
			return err
		}
		return u.attributes(name, h)
	case tar.TypeReg:
		return u.file(name, h, data)
	case tar.TypeSymlink:
		return u.root.Symlink(h.Linkname, name)
	}
	return fmt.Errorf("entry %q is of type %q: want files, folders and links", api.Shown(h.Name, 256), rune(h.Typeflag))
}

func (u *unpacker) file(name string, h *tar.Header, data io.Reader) error {
	if u.most -= h.Size; u.most < 0 {
		return errors.New("more comes than was announced: the folder has grown, copy it again")
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = fill(u.ctx, f, data, h.Size)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return u.attributes(name, h)
}

func (u *unpacker) attributes(name string, h *tar.Header) error {
	if err := u.root.Chmod(name, fileMode(uint32(h.Mode)&allBits)); err != nil {
		return err
	}
	return u.root.Chtimes(name, h.ModTime, h.ModTime)
}

// merge moves what is staged in a folder into that folder. Whether all of it
// can be is seen first.
func (t *Target) merge() error {
	st, err := t.root.Lstat(t.stage)
	for _, move := range []bool{false, true} {
		if err == nil {
			err = t.mergeFolder(".", move)
		}
	}
	if err == nil {
		err = t.root.RemoveAll(t.stage)
	}
	if err != nil {
		return err
	}
	return t.root.Chtimes(".", st.ModTime(), st.ModTime()) // which has changed with what is in it
}

func (t *Target) mergeFolder(name string, move bool) error {
	staged := path.Join(t.stage, name)
	st, err := t.root.Lstat(staged)
	if err != nil {
		return err
	}
	if move { // its own mode may forbid that
		if err := t.root.Chmod(staged, st.Mode()|0o700); err != nil {
			return err
		}
	}
	list, err := fs.ReadDir(t.root.FS(), staged)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := t.mergeEntry(path.Join(name, e.Name()), e.IsDir(), move); err != nil {
			return err
		}
	}
	if !move {
		return nil
	}
	if err := t.root.Chmod(name, st.Mode()); err != nil {
		return err
	}
	return t.root.Chtimes(name, st.ModTime(), st.ModTime())
}

func (t *Target) mergeEntry(name string, folder, move bool) error {
	st, err := t.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if move {
			return t.root.Rename(path.Join(t.stage, name), name)
		}
		return nil
	case err != nil:
		return err
	case folder && !st.IsDir():
		return fmt.Errorf("%s is there already, and is no folder", name)
	case !folder && st.IsDir():
		return fmt.Errorf("%s is there already, and is a folder", name)
	case folder:
		return t.mergeFolder(name, move)
	case move:
		return t.root.Rename(path.Join(t.stage, name), name)
	}
	return nil
}
