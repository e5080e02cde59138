// Package transfer reads a file or folder into a stream of bytes, and makes one
// out of it at the other end of a channel (core/api/channel.go): a file as it
// is, a folder as a tar stream (archive/tar, PAX).
//
// It promises: what is written appears under its name only when it is whole,
// its SHA-256 is that of what was read, and it is on the disk; until then it
// has a name of its own in the same folder, and is removed if it comes to
// nothing. Modes and times of files and folders are kept, holes stay holes.
// Nothing is written outside of the target, whatever the stream says.
//
// It keeps no owners and no extended attributes, leaves out sockets, devices
// and pipes (and says how many), and does not resume.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
)

// ErrSum is wrapped when what arrived is not what was sent.
var ErrSum = errors.New("what arrived is not what was sent")

// Check compares what a sender says that it read with what was received.
func Check(sent, got api.ChannelSum) error {
	if sent.Bytes != got.Bytes || sent.SHA256 != got.SHA256 {
		return fmt.Errorf("%w: %d bytes with SHA-256 %s, sent were %d with %s", ErrSum, got.Bytes, got.SHA256, sent.Bytes, api.Shown(sent.SHA256, 64))
	}
	return nil
}

// Look says what is at path: a file, or a folder if that is wanted too.
func Look(ctx context.Context, path string, folder bool) (api.ChannelReady, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return api.ChannelReady{}, err
	case st.IsDir() && !folder:
		return api.ChannelReady{}, fmt.Errorf("%s is a folder: copy it with -r", path)
	case st.IsDir():
		return lookFolder(ctx, path)
	case !st.Mode().IsRegular():
		return api.ChannelReady{}, fmt.Errorf("%s is neither a file nor a folder", path)
	}
	r := api.ChannelReady{Mode: unixMode(st.Mode()), ModTime: st.ModTime(), Bytes: st.Size(), OnDisk: onDisk(st)}
	if made(path) {
		r.Bytes, r.OnDisk = -1, 0
	}
	return r, nil
}

// made says whether the kernel makes up a file when it is read: its size says
// nothing.
func made(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC:
		return true
	}
	return false
}

func lookFolder(ctx context.Context, path string) (api.ChannelReady, error) {
	r := api.ChannelReady{Folder: true}
	err := fs.WalkDir(os.DirFS(path), ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			r.Bytes, r.OnDisk = r.Bytes+st.Size(), r.OnDisk+onDisk(st)
		}
		return err
	})
	return r, err
}

// onDisk is how much a file takes there, at most its size.
func onDisk(st fs.FileInfo) int64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return min(s.Blocks*512, st.Size())
	}
	return st.Size()
}

// Modes as the kernel has them, in twelve bits.
const (
	setUID, setGID, sticky = 0o4000, 0o2000, 0o1000
	allBits                = 0o7777
)

func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, b := range []struct {
		has fs.FileMode
		bit uint32
	}{{fs.ModeSetuid, setUID}, {fs.ModeSetgid, setGID}, {fs.ModeSticky, sticky}} {
		if m&b.has != 0 {
			bits |= b.bit
		}
	}
	return bits
}

func fileMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits & 0o777)
	for _, b := range []struct {
		has fs.FileMode
		bit uint32
	}{{fs.ModeSetuid, setUID}, {fs.ModeSetgid, setGID}, {fs.ModeSticky, sticky}} {
		if bits&b.bit != 0 {
			m |= b.has
		}
	}
	return m
}
