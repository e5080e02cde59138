package memory

import (
	"io/fs"
	"slices"
	"time"
)

// file is one that is being written.
type file struct {
	disk   *Disk
	node   *node
	path   string
	cuts   int // of the disk, when it was made
	closed bool
}

func (f *file) alive(op string) error {
	if f.closed || f.cuts != f.disk.cuts {
		return failed(op, f.path, fs.ErrClosed)
	}
	return nil
}

func (f *file) Write(data []byte) (int, error) {
	if err := f.alive("write"); err != nil {
		return 0, err
	}
	if err := f.disk.allow("write", f.path, true); err != nil {
		return 0, err
	}
	if !slices.Contains(f.disk.dirty, f.node) {
		f.disk.dirty = append(f.disk.dirty, f.node)
	}
	f.node.data = append(f.node.data, data...)
	return len(data), nil
}

func (f *file) Sync() error {
	if err := f.alive("sync"); err != nil {
		return err
	}
	if f.disk.Before != nil {
		if err := f.disk.Before("sync", f.path); err != nil {
			return failed("sync", f.path, err)
		}
	}
	f.disk.syncFile(f.node)
	return nil
}

func (d *Disk) syncFile(n *node) {
	n.safe = len(n.data)
	d.dirty = slices.DeleteFunc(d.dirty, func(x *node) bool { return x == n })
}

func (f *file) Close() error {
	if err := f.alive("close"); err != nil {
		return err
	}
	f.closed = true
	return nil
}

// info describes a node under a name. Sys is the same for two names of one file.
type info struct {
	name string
	node *node
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(len(i.node.data)) }
func (i info) Mode() fs.FileMode  { return i.node.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.node.mode.IsDir() }
func (i info) Sys() any           { return i.node }
