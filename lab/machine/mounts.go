package machine

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Path is where the processes of a machine look for programs.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// mountAll gives the machine its own /proc and /sys, and a node its own disk
// and volatile directories. Everything it mounts goes with the namespace.
func mountAll(spec Spec) error {
	if err := mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if spec.Node != nil {
		if err := mountNode(spec.Hostname, *spec.Node); err != nil {
			return err
		}
	}
	return mountSys()
}

// mountSys shows the interfaces of this machine in /sys/class/net and keeps
// the host's control groups where they were.
func mountSys() error {
	const groups = "/sys/fs/cgroup"
	tree, err := unix.OpenTree(unix.AT_FDCWD, groups, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err == nil {
		defer unix.Close(tree)
	}
	if err := mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err == nil { // best effort: a host without control groups has none to lose
		_ = unix.MoveMount(tree, "", unix.AT_FDCWD, groups, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	return nil
}

// mountNode lays the node's file system over the host's. The scratch tmpfs
// carries what must not outlive a power cut: the upper layer of /etc.
func mountNode(hostname string, fs NodeFS) error {
	scratch := fs.Scratch
	if err := mount("tmpfs", scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for _, d := range []string{"etc", "work", "bin", "disk", "run", "log"} {
		if err := os.Mkdir(filepath.Join(scratch, d), 0o755); err != nil {
			return err
		}
	}
	in := func(d string) string { return filepath.Join(scratch, d) }
	// Everything reached by a path of the host is bound here first: the mounts
	// below may hide it.
	for _, b := range [][2]string{{fs.Disk, in("disk")}, {fs.Run, in("run")}, {fs.VarLog, in("log")}, {fs.Bin, in("bin")}} {
		if err := bind(b[0], b[1]); err != nil {
			return err
		}
	}
	if fs.TPM != "" { // it goes along when the folder around it becomes /run
		if err := bind(fs.TPM, filepath.Join(in("run"), filepath.Base(TPMDir))); err != nil {
			return err
		}
	}
	if err := mount("overlay", "/etc", "overlay", 0,
		"lowerdir=/etc,upperdir="+in("etc")+",workdir="+in("work")); err != nil {
		return err
	}
	if err := writeEtc(hostname); err != nil {
		return err
	}
	if err := mount("overlay", "/usr/local/bin", "overlay", unix.MS_RDONLY, "lowerdir="+in("bin")+":/usr/local/bin"); err != nil {
		return err
	}
	if err := os.MkdirAll(in("disk/spool"), 0o700); err != nil {
		return err
	}
	// The spool is a mount of its own: its files are open for writing all the time,
	// and would keep the disk from being made read-only.
	for _, b := range [][2]string{{in("disk"), "/etc/g8os"}, {in("disk/spool"), "/etc/g8os/spool"}, {in("log"), "/var/log"}, {in("run"), "/run"}} {
		if err := bind(b[0], b[1]); err != nil {
			return err
		}
	}
	// A machine has /run in memory, and the host may have it on a disk: what jobs
	// and services make and remove all the time is where it would be.
	for _, d := range []string{"/mnt", "/root", "/tmp", "/run/g8os/jobs", "/run/g8os/services"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
		if err := mount("tmpfs", d, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return err
		}
	}
	return os.Chmod("/tmp", 0o777|os.ModeSticky)
}

// writeEtc makes /etc the node's own: name, no resolver, an empty /etc/g8os.
func writeEtc(hostname string) error {
	_ = os.Remove("/etc/resolv.conf") // often a link into the host's /run
	files := map[string]string{
		"/etc/hostname":    hostname + "\n",
		"/etc/hosts":       "127.0.0.1 localhost\n127.0.1.1 " + hostname + "\n",
		"/etc/resolv.conf": "",
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.RemoveAll("/etc/g8os"); err != nil {
		return err
	}
	return os.Mkdir("/etc/g8os", 0o755)
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s (%s): %w", kind, target, data, err)
	}
	return nil
}

func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", from, to, err)
	}
	return nil
}
