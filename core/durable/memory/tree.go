package memory

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// node is a file, link or folder.
type node struct {
	mode   fs.FileMode // with its type
	data   []byte      // a file's
	safe   int         // how much of data is synced
	target string      // a link's

	entries map[string]*node // a folder's, as they are now
	kept    map[string]*node // as a power cut leaves them
}

func newFolder(mode fs.FileMode) *node {
	return &node{mode: fs.ModeDir | mode.Perm(), entries: map[string]*node{}, kept: map[string]*node{}}
}

func (n *node) now() map[string]*node    { return n.entries }
func (n *node) synced() map[string]*node { return n.kept }

// restore goes back to what is synced, here and below.
func (n *node) restore() {
	if !n.mode.IsDir() {
		return
	}
	n.entries = maps.Clone(n.kept)
	for _, below := range n.entries {
		below.restore()
	}
}

// maxLinks is how many links a path may lead through (path_resolution(7)).
const maxLinks = 40

// find walks a path. The entry it leads to has no node when nothing is there.
func (d *Disk) find(path string, follow bool) (entry, error) { return d.walk(path, follow, 0) }

func (d *Disk) walk(path string, follow bool, links int) (entry, error) {
	if links > maxLinks {
		return entry{}, syscall.ELOOP
	}
	at, left := entry{node: d.root}, split(path)
	for i, name := range left {
		switch {
		case at.node == nil:
			return entry{}, syscall.ENOENT
		case !at.node.mode.IsDir():
			return entry{}, syscall.ENOTDIR
		}
		at = entry{at.node, name, at.node.entries[name]}
		last := i == len(left)-1
		if at.node != nil && at.node.mode&fs.ModeSymlink != 0 && (follow || !last) {
			before := "/" + filepath.Join(left[:i]...)
			return d.walk(filepath.Join(append([]string{lead(before, at.node.target)}, left[i+1:]...)...), follow, links+1)
		}
	}
	return at, nil
}

// lead is where a link in a folder leads.
func lead(folder, target string) string {
	if filepath.IsAbs(target) {
		return target
	}
	return filepath.Join(folder, target)
}

// split is a path's names from the root.
func split(path string) []string {
	clean := strings.Trim(filepath.Clean("/"+path), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

func names(entries map[string]*node) []string {
	var all []string
	for name := range entries {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
