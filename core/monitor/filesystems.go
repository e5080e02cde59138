package monitor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/monitor/measure"
)

// local are the types of file systems that are asked: of disks of this machine
// and of its memory. One that is somewhere else (NFS) or in a process (FUSE)
// can take for ever to answer.
var local = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "vfat", "exfat", "zfs", "tmpfs", "overlay"}

// mostFileSystems bounds how many are looked at: a node that runs containers
// has many mounts, of few file systems.
const mostFileSystems = 64

// fileSystems asks each file system once, by the shortest path that it is
// mounted on. The one of the node's state is always among them.
func (r *Reader) fileSystems(s *measure.Sample) error {
	mounts, err := r.mounts()
	errs := []error{err}
	var state unix.Stat_t
	known := unix.Stat(r.paths.State, &state) == nil
	for _, m := range mounts {
		f := measure.FileSystem{Path: m.Mountpoint, Source: m.Source, Type: m.FSType, ReadOnly: readOnly(m)}
		f.State = known && unix.Mkdev(uint32(m.Major), uint32(m.Minor)) == uint64(state.Dev)
		if f.Total, f.Used, f.Inodes, f.InodesUsed, err = statfs(m.Mountpoint); err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // it has just gone, or another mount hides it
				errs = append(errs, err)
			}
			continue
		}
		if f.Total > 0 {
			s.FileSystems = append(s.FileSystems, f)
		}
	}
	if known && !slices.ContainsFunc(s.FileSystems, func(f measure.FileSystem) bool { return f.State }) {
		errs = append(errs, r.stateOnly(s))
	}
	return errors.Join(errs...)
}

// stateOnly adds the file system of the node's state, if none of the mounts is
// known to be it.
func (r *Reader) stateOnly(s *measure.Sample) (err error) {
	f := measure.FileSystem{Path: r.paths.State, State: true}
	f.Total, f.Used, f.Inodes, f.InodesUsed, err = statfs(f.Path)
	if err == nil && f.Total > 0 {
		s.FileSystems = append(s.FileSystems, f)
	}
	return err
}

// mounts are the local ones, each device once.
func (r *Reader) mounts() ([]*mountinfo.Info, error) {
	f, err := os.Open(filepath.Join(r.paths.Proc, "self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer f.Close()
	all, err := mountinfo.GetMountsFromReader(f, func(m *mountinfo.Info) (skip, stop bool) {
		return !slices.Contains(local, m.FSType), false
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	all = visible(all)
	slices.SortStableFunc(all, func(a, b *mountinfo.Info) int { return len(a.Mountpoint) - len(b.Mountpoint) })
	type device struct{ major, minor int }
	seen := map[device]bool{}
	all = slices.DeleteFunc(all, func(m *mountinfo.Info) bool {
		d := device{m.Major, m.Minor}
		defer func() { seen[d] = true }()
		return seen[d]
	})
	return all[:min(len(all), mostFileSystems)], nil
}

// visible leaves out what another mount on the same path hides: the last counts.
func visible(all []*mountinfo.Info) []*mountinfo.Info {
	last := map[string]*mountinfo.Info{}
	for _, m := range all {
		last[m.Mountpoint] = m
	}
	return slices.DeleteFunc(all, func(m *mountinfo.Info) bool { return last[m.Mountpoint] != m })
}

func readOnly(m *mountinfo.Info) bool {
	return slices.Contains(strings.Split(m.Options, ","), "ro") || slices.Contains(strings.Split(m.VFSOptions, ","), "ro")
}
