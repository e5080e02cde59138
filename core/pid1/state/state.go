// Package state puts what a node keeps over a reboot in its place: the folders
// of the state disk, and what a boot medium brings for the node.
//
// It promises that a folder that cannot be put in its place costs only itself,
// that what the medium brings counts once, when it is new there, and that an
// operator's later change on the node stays.
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Dir is where the state disk is mounted.
const Dir = "/state"

// A Bind is a folder of the state disk and its place in the system.
type Bind struct {
	From string // below Dir
	To   string
	Mode os.FileMode // when it is made
}

// Binds are the folders that are kept.
var Binds = []Bind{
	{"etc", "/etc/g8os", 0o755},
	{"log", "/var/log/g8os", 0o755},
	{"g8os", "/var/lib/g8os", 0o700},
	{"docker", "/var/lib/docker", 0o710},
}

// ToolsDir is where a tools layer is kept that came over the network.
const ToolsDir = Dir + "/tools"

// Place binds the folders of a state disk into the system, and makes those
// that are missing on it.
func Place(disk, root string) error {
	errs := []error{mkdir(filepath.Join(disk, "tools"), 0o755)}
	for _, b := range Binds {
		if err := place(filepath.Join(disk, b.From), filepath.Join(root, b.To), b.Mode); err != nil {
			errs = append(errs, fmt.Errorf("keep %s on the state disk: %w", b.To, err))
		}
	}
	return errors.Join(errs...)
}

func place(from, to string, mode os.FileMode) error {
	if err := os.MkdirAll(to, mode); err != nil {
		return err
	}
	if err := mkdir(from, mode); err != nil {
		return err
	}
	return unix.Mount(from, to, "", unix.MS_BIND, "")
}

// mkdir makes a folder of the disk that is missing. A file in its place is put
// aside, and so is a link: it would lead off the disk.
func mkdir(path string, mode os.FileMode) error {
	st, err := os.Lstat(path)
	switch {
	case err == nil && st.IsDir():
		return nil
	case err == nil:
		if err := os.Rename(path, path+".aside"); err != nil {
			return err
		}
	}
	return os.MkdirAll(path, mode)
}
