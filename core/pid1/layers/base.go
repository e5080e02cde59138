// Package layers makes the root file system out of read-only images.
//
//	/                overlay: a tmpfs over the base (squashfs, from the initramfs)
//	/usr             overlay: the base's usr over the tools layer's, once there is one
//	/usr/bin/g8os_core   the running PID 1 itself, bound over an empty file
//
// The root is not the kernel's rootfs, so pivot_root(2) works in it, and with
// it containers. It promises that a layer that cannot be used leaves what was
// there before.
package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Where things are once the root is the overlay.
const (
	Dir      = "/run/g8os/layers" // the images, and what is written over them
	BaseDir  = Dir + "/base"
	ToolsDir = Dir + "/tools"
	writeDir = Dir + "/write"
	Core     = "/usr/bin/g8os_core"
)

// Places in the kernel's rootfs, until then.
const (
	early     = "/layers"
	earlyBase = early + "/base"
	earlyTop  = early + "/write"
	newRoot   = "/newroot"
)

// Base mounts the base and the root over it, and returns where the root is.
func Base(image string) (root string, err error) {
	for _, dir := range []string{earlyBase, earlyTop, newRoot} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fmt.Errorf("base: %w", err)
		}
	}
	if err := MountImage(image, earlyBase); err != nil {
		return "", fmt.Errorf("base: %w", err)
	}
	if err := unix.Mount("write", earlyTop, "tmpfs", 0, "mode=755,size=75%"); err != nil {
		return "", fmt.Errorf("base: memory to write to: %w", err)
	}
	if err := overlay("root", newRoot, []string{earlyBase}, earlyTop+"/root"); err != nil {
		return "", fmt.Errorf("base: %w", err)
	}
	if err := BindCore(newRoot); err != nil {
		return "", err
	}
	return newRoot, nil
}

// overlay mounts lower folders with what is written going to top.
func overlay(name, target string, lower []string, top string) error {
	for _, dir := range []string{top + "/upper", top + "/work"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	below := lower[0]
	for _, l := range lower[1:] {
		below += ":" + l
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", below, top, top)
	if err := unix.Mount(name, target, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay of %s on %s: %w", below, target, err)
	}
	return nil
}

// BindCore puts the program that runs over the empty file that the base has in
// its place: it is in memory once.
func BindCore(root string) error {
	target := filepath.Join(root, Core)
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, nil, 0o755)); err != nil {
			return fmt.Errorf("put g8os_core in its place: %w", err)
		}
	}
	if err := unix.Mount("/proc/self/exe", target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put g8os_core in its place: bind it to %s: %w", target, err)
	}
	return nil
}

// Bare makes of the initramfs what g8os_core needs to run at least, and say how
// the machine is.
func Bare(root string) error {
	var errs []error
	for _, dir := range []string{"etc/g8os", "run", "tmp", "var", "mnt", "root"} {
		errs = append(errs, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	if err := os.Symlink("/run", filepath.Join(root, "var/run")); !errors.Is(err, fs.ErrExist) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, BindCore(root))...)
}

// Switch makes root the root of every process there is, and moves the mounts
// of the kernel's file systems, and the layers, into it.
func Switch(root string) error {
	run := filepath.Join(root, "run")
	if err := unix.Mount("run", run, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=25%"); err != nil {
		return fmt.Errorf("mount %s: %w", run, err)
	}
	for _, m := range []struct{ from, to string }{
		{earlyBase, BaseDir}, {earlyTop, writeDir}, {"/dev", "/dev"}, {"/sys", "/sys"}, {"/proc", "/proc"},
	} {
		to := filepath.Join(root, m.to)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return fmt.Errorf("switch to the new root: %w", err)
		}
		if err := unix.Mount(m.from, to, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("switch to the new root: move %s to %s: %w", m.from, to, err)
		}
	}
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("switch to the new root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("switch to the new root: move it to /: %w", err)
	}
	if err := errors.Join(unix.Chroot("."), unix.Chdir("/")); err != nil {
		return fmt.Errorf("switch to the new root: %w", err)
	}
	return nil
}
