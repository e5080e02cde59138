package power

import (
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
)

// Action is one thing to do; its text goes on "could not …".
type Action string

// The actions.
const (
	StopServices Action = "stop the services"
	StopDaemon   Action = "stop g8os_core"
	TermAll      Action = "end the processes"
	KillAll      Action = "kill the processes that stayed"
	UnmountFUSE  Action = "close the volume"
	KillServers  Action = "end the file system daemons"
	Sync         Action = "write everything to the disks"
	EndLog       Action = "end the boot log"
	UnmountDisks Action = "unmount the disks"
	ReadOnly     Action = "make read-only what stayed mounted"
	Disarm       Action = "disarm the watchdog"
)

// overtime is what a step gets after its limit, to notice it.
const overtime = time.Second

// Step is an action and the time it has.
type Step struct {
	Action Action
	Limit  time.Duration
}

// Plan is how a machine ends. The volume is closed after everybody who may
// have files in it has gone, but before the daemon that serves it is killed:
// its last writes must come through. The disks are written before anything of
// that can hang, too.
func Plan() []Step {
	return []Step{
		{StopServices, 40 * time.Second},
		{StopDaemon, 10 * time.Second},
		{TermAll, 5 * time.Second},
		{KillAll, 2 * time.Second},
		{Sync, 20 * time.Second},
		{UnmountFUSE, 5 * time.Second},
		{KillServers, 2 * time.Second},
		{EndLog, 5 * time.Second},
		{UnmountDisks, 10 * time.Second},
		{ReadOnly, 10 * time.Second},
		{Sync, 20 * time.Second},
		{Disarm, time.Second},
	}
}

// proc is a process as its end sees it.
type proc struct {
	pid    int
	kernel bool // a thread of the kernel
	fuse   bool // serves a file system
	zombie bool
}

// targets are the processes to end: those that serve file systems, or all
// others. PID 1 and the kernel's own never are.
func targets(all []proc, servers bool) (pids []int) {
	for _, p := range all {
		if p.pid != 1 && !p.kernel && !p.zombie && p.fuse == servers {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// virtual are file systems that hold nothing a disk would miss, and that the
// machine needs to its end.
var virtual = []string{
	"proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "rootfs", "cgroup", "cgroup2", "pstore", "efivarfs",
	"securityfs", "debugfs", "tracefs", "bpf", "configfs", "mqueue", "hugetlbfs", "squashfs", "erofs", "iso9660", "nsfs", "binfmt_misc",
}

func isFUSE(m *mountinfo.Info) bool {
	return m.FSType == "fuse" || strings.HasPrefix(m.FSType, "fuse.")
}

// unmounts are the mount points to unmount, the last mounted first: those of
// FUSE, or all others that matter. The overlays that are the system itself
// stay, they are in memory.
func unmounts(mounts []*mountinfo.Info, fuse bool) (points []string) {
	for _, m := range slices.Backward(mounts) {
		system := m.Mountpoint == "/" || m.Mountpoint == "/usr"
		if isFUSE(m) == fuse && !system && !slices.Contains(virtual, m.FSType) {
			points = append(points, m.Mountpoint)
		}
	}
	return points
}

// writable are the mount points of disks that can still be written to.
func writable(mounts []*mountinfo.Info) (points []string) {
	for _, m := range slices.Backward(mounts) {
		if strings.HasPrefix(m.Source, "/dev/") && !isFUSE(m) && !slices.Contains(strings.Split(m.VFSOptions, ","), "ro") && !slices.Contains(virtual, m.FSType) {
			points = append(points, m.Mountpoint)
		}
	}
	return points
}
