// Package memory is a disk in memory that loses its power as real ones do.
//
// It promises what POSIX promises, and no more: the content of a file is there
// after a power cut as far as it was synced, and an entry of a folder when the
// folder was. What was not synced may be lost, kept, or kept in part, in any
// order, as the caller's choice has it; one rename is done or not done. So a
// step that forgot a sync is found by trying choices. It fails like a disk that
// is full, read-only or damaged where told to. It is not a speed model, has no
// owners, times or locks, and is for one goroutine at a time.
package memory

import (
	"io/fs"
	"syscall"

	"github.com/g8os/g8os/core/durable"
)

// Disk is one disk; the folder / is there from the start.
type Disk struct {
	// Full has what needs room fail with ENOSPC. Empty files can be made, and
	// files removed and renamed, as on most file systems.
	Full bool
	// ReadOnly has every change fail with EROFS.
	ReadOnly bool
	// Before is asked before every change and sync; its error is that of the
	// operation, which is then not done. Nil: go on. op is create, write, sync,
	// mkdir, link, symlink, rename, remove, chmod, syncdir or syncall.
	Before func(op, path string) error

	choose  func(n int) int
	root    *node
	journal []change // of folders, not synced
	dirty   []*node  // files with content that is not synced
	cuts    int
}

var _ durable.Disk = (*Disk)(nil)

// New returns an empty disk. choose decides what a power cut spares: it returns
// a number from 0 to n-1, such as IntN of a seeded generator.
func New(choose func(n int) int) *Disk {
	return &Disk{choose: choose, root: newFolder(0o755)}
}

// PowerCut loses what is not synced, or some of it. Files that are open stay
// behind in the past: writing to them fails.
func (d *Disk) PowerCut() {
	d.cuts++
	const none, all = 0, 1 // and otherwise each by itself
	fate := d.choose(4)
	for _, c := range d.journal {
		if fate == all || fate != none && d.choose(2) == 1 {
			c.apply((*node).synced)
		}
	}
	d.journal = nil
	for _, n := range d.dirty {
		n.data = d.spared(n)
		n.safe = len(n.data)
	}
	d.dirty = nil
	d.root.restore()
}

// spared is what a power cut leaves of a file: some of what was not synced may
// be there, and some of that as zeros that were never written.
func (d *Disk) spared(n *node) []byte {
	length := n.safe + d.choose(len(n.data)-n.safe+1)
	left := append([]byte(nil), n.data[:length]...)
	if d.choose(4) == 0 {
		clear(left[n.safe:])
	}
	return left
}

// Damage changes the content of a file under everybody's feet, as a bad block
// does: on the disk itself, whatever it refuses otherwise.
func (d *Disk) Damage(path string, change func([]byte) []byte) error {
	at, err := d.find(path, true)
	if err == nil && (at.node == nil || !at.node.mode.IsRegular()) {
		err = syscall.ENOENT
	}
	if err != nil {
		return failed("damage", path, err)
	}
	n := at.node
	n.data = change(append([]byte(nil), n.data...))
	n.safe = len(n.data)
	return nil
}

// allow is asked before a change.
func (d *Disk) allow(op, path string, needsRoom bool) error {
	if d.Before != nil {
		if err := d.Before(op, path); err != nil {
			return failed(op, path, err)
		}
	}
	switch {
	case d.ReadOnly:
		return failed(op, path, syscall.EROFS)
	case d.Full && needsRoom:
		return failed(op, path, syscall.ENOSPC)
	}
	return nil
}

func failed(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }

// change is one step of a folder's entries, or of two folders': a rename.
type change struct{ drop, set entry }

// entry is a name in a folder, and what it leads to.
type entry struct {
	dir  *node // nil: no such part
	name string
	node *node
}

// apply makes the change in one of the views that folders have.
func (c change) apply(view func(*node) map[string]*node) {
	if c.drop.dir != nil {
		delete(view(c.drop.dir), c.drop.name)
	}
	if c.set.dir != nil {
		view(c.set.dir)[c.set.name] = c.set.node
	}
}

// record makes a change, as every reader sees it at once.
func (d *Disk) record(c change) {
	c.apply((*node).now)
	d.journal = append(d.journal, c)
}

// SyncDir makes the changes of a folder durable, and, because a rename is one,
// those of other folders that came before.
func (d *Disk) SyncDir(dir string) error {
	at, err := d.find(dir, true)
	if err == nil && at.node == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return failed("syncdir", dir, err)
	}
	if d.Before != nil {
		if err := d.Before("syncdir", dir); err != nil {
			return failed("syncdir", dir, err)
		}
	}
	if !at.node.mode.IsDir() {
		d.syncFile(at.node)
		return nil
	}
	d.syncFolder(at.node)
	return nil
}

func (d *Disk) syncFolder(dir *node) {
	touched := map[*node]bool{dir: true}
	mark := make([]bool, len(d.journal))
	for i := len(d.journal) - 1; i >= 0; i-- {
		c := d.journal[i]
		if mark[i] = touched[c.drop.dir] || touched[c.set.dir]; mark[i] {
			for _, e := range []entry{c.drop, c.set} {
				if e.dir != nil {
					touched[e.dir] = true
				}
			}
		}
	}
	left := d.journal[:0]
	for i, c := range d.journal {
		if mark[i] {
			c.apply((*node).synced)
		} else {
			left = append(left, c)
		}
	}
	d.journal = left
}

// SyncAll makes everything durable, unless Before has an error: then nothing.
func (d *Disk) SyncAll() {
	if d.Before != nil && d.Before("syncall", "/") != nil {
		return
	}
	for _, c := range d.journal {
		c.apply((*node).synced)
	}
	d.journal = nil
	for _, n := range d.dirty {
		n.safe = len(n.data)
	}
	d.dirty = nil
}
