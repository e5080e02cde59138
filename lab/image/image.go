// Package image finds the built Bootstrap OS that a lab's virtual machines
// boot: what make image and make image-base leave in build/.
//
// It promises that what it returns is there; it does not look inside.
package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Image is a folder with a built image.
type Image struct{ dir string }

// Files of an image.
const (
	kernel    = "vmlinuz"
	initramfs = "initramfs"
	tools     = "tools.squashfs"
	stick     = "g8os.img"
)

// Open returns the image in a folder.
func Open(dir string) (Image, error) {
	i := Image{dir}
	for _, f := range []string{i.Kernel(), i.Initramfs()} {
		if st, err := os.Stat(f); err != nil || !st.Mode().IsRegular() {
			return i, fmt.Errorf("image of the operating system: no %s in %s; make image-base builds it", filepath.Base(f), dir)
		}
	}
	return i, nil
}

// Find returns the image in the folder given; else that of $G8LAB_IMAGE; else
// the first of build/ beside or above the binaries, and above the working
// directory.
func Find(given, binaries string) (Image, error) {
	if given == "" {
		given = os.Getenv("G8LAB_IMAGE")
	}
	if given != "" {
		abs, err := filepath.Abs(given)
		if err != nil {
			return Image{}, err
		}
		return Open(abs)
	}
	tried := around(binaries)
	for _, dir := range tried {
		if i, err := Open(dir); err == nil {
			return i, nil
		}
	}
	return Image{}, fmt.Errorf("image of the operating system: neither in %s; make image-base builds kernel and initramfs", strings.Join(tried, " nor in "))
}

func around(binaries string) []string {
	var dirs []string
	seen := map[string]bool{}
	walk := func(from string) {
		for d := from; ; d = filepath.Dir(d) {
			if b := filepath.Join(d, "build"); !seen[b] {
				seen[b] = true
				if _, err := os.Stat(b); err == nil {
					dirs = append(dirs, b)
				}
			}
			if d == "/" || d == "." {
				return
			}
		}
	}
	walk(binaries)
	if wd, err := os.Getwd(); err == nil {
		walk(wd)
	}
	if len(dirs) == 0 {
		dirs = []string{"build"}
	}
	return dirs
}

// Dir is the folder.
func (i Image) Dir() string { return i.dir }

// Kernel is a bzImage.
func (i Image) Kernel() string { return filepath.Join(i.dir, kernel) }

// Initramfs is what the kernel unpacks.
func (i Image) Initramfs() string { return filepath.Join(i.dir, initramfs) }

// Tools is the tools layer. It may not be there: see Need.
func (i Image) Tools() string { return filepath.Join(i.dir, tools) }

// Stick is the image of a USB stick. It may not be there: see Need.
func (i Image) Stick() string { return filepath.Join(i.dir, stick) }

// Need says what to do when a file that only some machines need is missing.
func Need(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("image of the operating system: no %s in %s; make image builds it (make image-base does not)",
			filepath.Base(path), filepath.Dir(path))
	}
	return nil
}
