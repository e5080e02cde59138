package transfer

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/g8os/g8os/core/api"
)

const block = 32 << 10 // bytes read or written at a time

// summing counts and sums what passes to w; nil: it goes nowhere.
type summing struct {
	w     io.Writer
	bytes int64
	hash  hash.Hash
}

func newSumming(w io.Writer) *summing { return &summing{w: w, hash: sha256.New()} }

func (s *summing) Write(p []byte) (int, error) {
	s.bytes += int64(len(p))
	s.hash.Write(p)
	if s.w == nil {
		return len(p), nil
	}
	return s.w.Write(p)
}

func (s *summing) sum() api.ChannelSum {
	return api.ChannelSum{Bytes: s.bytes, SHA256: hex.EncodeToString(s.hash.Sum(nil))}
}

// Send reads what Look has found at a path, and writes it to w.
func Send(ctx context.Context, w io.Writer, path string, r api.ChannelReady) (api.ChannelSum, error) {
	if r.Folder {
		return sendFolder(ctx, w, path)
	}
	// A pipe that has taken the file's place must not hold us up.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return api.ChannelSum{}, err
	}
	defer f.Close()
	return SendFrom(ctx, w, f, r.Bytes)
}

// SendFrom reads so many bytes, or as many as there are if that is -1.
func SendFrom(ctx context.Context, w io.Writer, from io.Reader, bytes int64) (api.ChannelSum, error) {
	s := newSumming(w)
	if bytes >= 0 { // what is added meanwhile belongs to the next copy
		from = io.LimitReader(from, bytes)
	}
	if err := copyAll(ctx, s, from); err != nil {
		return api.ChannelSum{}, err
	}
	if bytes >= 0 && s.bytes < bytes {
		return api.ChannelSum{}, fmt.Errorf("it has become shorter while it was read: %d bytes of %d", s.bytes, bytes)
	}
	return s.sum(), nil
}

func copyAll(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := make([]byte, block)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// packer writes a folder as a tar stream. A folder comes behind what is in it:
// then its time and mode can be set once and for all.
type packer struct {
	ctx  context.Context
	root *os.Root
	tar  *tar.Writer
	left int
}

func sendFolder(ctx context.Context, w io.Writer, path string) (api.ChannelSum, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return api.ChannelSum{}, err
	}
	defer root.Close()
	s := newSumming(w)
	p := &packer{ctx: ctx, root: root, tar: tar.NewWriter(s)}
	err = p.folder(".")
	if err == nil {
		err = p.tar.Close()
	}
	sum := s.sum()
	sum.Left = p.left
	return sum, err
}

func (p *packer) folder(name string) error {
	d, err := p.root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		list, err := d.ReadDir(256)
		for _, e := range list {
			if err := p.entry(path.Join(name, e.Name())); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	st, err := d.Stat()
	if err != nil {
		return err
	}
	return p.tar.WriteHeader(header(name+"/", st, tar.TypeDir))
}

func (p *packer) entry(name string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	st, err := p.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
		return nil
	case err != nil:
		return err
	case st.IsDir():
		return p.folder(name)
	case st.Mode().IsRegular():
		return p.file(name)
	case st.Mode().Type() == fs.ModeSymlink:
		h := header(name, st, tar.TypeSymlink)
		if h.Linkname, err = p.root.Readlink(name); err != nil {
			return err
		}
		return p.tar.WriteHeader(h)
	}
	p.left++
	return nil
}

func (p *packer) file(name string) error {
	f, err := p.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	h := header(name, st, tar.TypeReg)
	h.Size = st.Size()
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	if err := copyAll(p.ctx, p.tar, io.LimitReader(f, h.Size)); err != nil {
		return err
	}
	if err := p.tar.Flush(); err != nil {
		return fmt.Errorf("%s has become shorter while it was read: %w", name, err)
	}
	return nil
}

func header(name string, st fs.FileInfo, kind byte) *tar.Header {
	return &tar.Header{Name: name, Typeflag: kind, Mode: int64(unixMode(st.Mode())), ModTime: st.ModTime(), Format: tar.FormatPAX}
}
