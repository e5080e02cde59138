package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What the layers say of themselves.
const (
	ImageFile = "/usr/share/g8os/image.json" // the base
	ToolsFile = "/usr/share/g8os/tools.json" // the tools layer
)

// About is what a layer says of itself; both files have these.
type About struct {
	ID      string `json:"id"` // of the image: the same in all its layers
	Version string `json:"version"`
	Kernel  string `json:"kernel"`
	Tools   string `json:"tools_sha256"` // of the tools layer; in image.json
	Size    int64  `json:"tools_size"`   // of the tools layer, in bytes; in image.json
}

// ReadAbout reads what a layer says of itself.
func ReadAbout(path string) (a About, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, fmt.Errorf("%s: %w", path, err)
	}
	if a.ID == "" {
		return a, fmt.Errorf("%s: names no image", path)
	}
	return a, nil
}

// ErrNotTools is wrapped when an image is no tools layer at all.
var ErrNotTools = errors.New("it is not a tools layer")

// ErrOther is wrapped when a tools layer belongs to another image.
var ErrOther = errors.New("it belongs to another image")

// Fits tells whether a tools layer goes with a base.
func Fits(base, tools About) error {
	if base.ID != tools.ID {
		return fmt.Errorf("%w: it is of %s, this is %s", ErrOther, tools.ID, base.ID)
	}
	return nil
}

// ErrForged is wrapped when a tools layer is not the one of this image, whatever
// it says of itself.
var ErrForged = errors.New("it is not what this image was built with")

// Genuine reads a whole tools layer and tells whether it is the one that the
// image names. An image that was built without one names none, and takes any.
func Genuine(image About, source string) error {
	if image.Tools == "" {
		return nil
	}
	f, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("tools layer: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, image.Size)); err != nil { // what comes after is the disk's
		return fmt.Errorf("tools layer on %s: %w", source, err)
	}
	if is := hex.EncodeToString(sum.Sum(nil)); is != image.Tools {
		return fmt.Errorf("tools layer on %s: %w: its SHA-256 is %.12s, want %.12s", source, ErrForged, is, image.Tools)
	}
	return nil
}

// Tools mounts a tools layer, if it goes with the base, and makes it part of
// /usr. Files of its /etc that are missing are copied; lacks says which could
// not be, with the layer mounted all the same.
func Tools(source string) (lacks, err error) {
	base, err := ReadAbout(filepath.Join(BaseDir, ImageFile))
	if err != nil {
		return nil, fmt.Errorf("tools layer on %s: this image's own description: %w", source, err)
	}
	if err := os.MkdirAll(ToolsDir, 0o755); err != nil {
		return nil, fmt.Errorf("tools layer on %s: %w", source, err)
	}
	if err := MountImage(source, ToolsDir); err != nil {
		return nil, fmt.Errorf("tools layer: %w", err)
	}
	if err := addTools(base); err != nil {
		return nil, errors.Join(fmt.Errorf("tools layer on %s: %w", source, err), unix.Unmount(ToolsDir, 0))
	}
	if err := CopyMissing(filepath.Join(ToolsDir, "etc"), "/etc"); err != nil {
		return fmt.Errorf("tools layer on %s: it is mounted, but its /etc is not copied in full: %w", source, err), nil
	}
	return nil, nil
}

func addTools(base About) error {
	tools, err := ReadAbout(filepath.Join(ToolsDir, ToolsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotTools
	} else if err != nil {
		return err
	}
	if err := Fits(base, tools); err != nil {
		return err
	}
	// what has been written to /usr so far is hidden by the new mount
	if err := overlay("tools", "/usr", []string{BaseDir + "/usr", ToolsDir + "/usr"}, writeDir+"/usr"); err != nil {
		return err
	}
	if err := BindCore("/"); err != nil {
		return errors.Join(err, unix.Unmount("/usr", unix.MNT_DETACH))
	}
	return nil
}

// CopyMissing copies what is in one tree and not in the other, with mode and
// owner. What is there stays as it is; what cannot be copied costs only itself.
func CopyMissing(from, to string) error {
	var errs []error
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = copyMissing(path, filepath.Join(to, strings.TrimPrefix(path, from)), d)
		}
		if errors.Is(err, fs.SkipDir) {
			return err
		}
		errs = append(errs, err)
		if err != nil && d != nil && d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func copyMissing(path, target string, d fs.DirEntry) error {
	is, err := os.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return copyOne(path, target, d)
	case err == nil && d.IsDir() && !is.IsDir():
		return fs.SkipDir // a file or a link is there: nothing goes where it leads
	}
	return err
}

func copyOne(path, target string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		err = os.Mkdir(target, info.Mode().Perm())
	case d.Type() == fs.ModeSymlink:
		var link string
		if link, err = os.Readlink(path); err == nil {
			return os.Symlink(link, target)
		}
	case d.Type().IsRegular():
		err = copyFile(path, target)
	default:
		return nil // no devices and sockets in /etc
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if err := os.Chown(target, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return os.Chmod(target, info.Mode().Perm())
}

func copyFile(path, target string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
