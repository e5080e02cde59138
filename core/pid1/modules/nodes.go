package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Node is a device file whose opening loads its module.
type Node struct {
	Path         string // below /dev
	Block        bool
	Major, Minor uint32
}

// Nodes reads modules.devname: "MODULE PATH cMAJOR:MINOR".
func Nodes(fsys fs.FS) []Node {
	text, err := fs.ReadFile(fsys, "modules.devname")
	if err != nil {
		return nil // then programs have to load what they open
	}
	var nodes []Node
	for line := range strings.SplitSeq(string(text), "\n") {
		var module, kind string
		var n Node
		if _, err := fmt.Sscanf(line, "%s %s %1s%d:%d", &module, &n.Path, &kind, &n.Major, &n.Minor); err != nil || !filepath.IsLocal(n.Path) {
			continue
		}
		n.Block = kind == "b"
		nodes = append(nodes, n)
	}
	return nodes
}

// Make makes device files that are not there yet.
func Make(dev string, nodes []Node) error {
	var errs []error
	for _, n := range nodes {
		path := filepath.Join(dev, n.Path)
		kind := uint32(unix.S_IFCHR)
		if n.Block {
			kind = unix.S_IFBLK
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			errs = append(errs, err)
			continue
		}
		err := unix.Mknod(path, kind|mode(n.Path), int(unix.Mkdev(n.Major, n.Minor)))
		if err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("make %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// mode lets programs without root's rights use what guards itself.
func mode(path string) uint32 {
	switch path {
	case "fuse", "net/tun":
		return 0o666
	}
	return 0o600
}
