package monitor

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/procfs"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/monitor/measure"
)

// ticks of the kernel's clock in a second, as /proc counts: USER_HZ, the same
// on every Linux that Go runs on.
const ticks = 100

// mostGroups bounds the cgroups that are looked at, and mostUsers the names of
// users that are remembered.
const mostGroups, mostUsers = 1024, 1024

// processes reads every process. One that ends meanwhile is left out.
func (r *Reader) processes(s *measure.Sample) error {
	all, err := r.proc.AllProcs()
	if err != nil {
		return err
	}
	s.Procs = make([]measure.Process, 0, len(all))
	for _, p := range all {
		st, err := p.Stat()
		if err != nil {
			continue
		}
		s.Procs = append(s.Procs, measure.Process{
			PID: st.PID, Started: st.Starttime, Name: api.Shown(st.Comm, 64), State: st.State, Threads: st.NumThreads,
			CPU: float64(st.UTime+st.STime) / ticks, Memory: int64(st.ResidentMemory()),
			User: r.userOf(p.PID), Group: groupOf(p),
		})
	}
	return nil
}

// userOf is the name of who a process belongs to.
func (r *Reader) userOf(pid int) string {
	st, err := os.Stat(filepath.Join(r.paths.Proc, strconv.Itoa(pid)))
	if err != nil {
		return ""
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	name, known := r.users[sys.Uid]
	if !known {
		name = strconv.Itoa(int(sys.Uid))
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		if len(r.users) < mostUsers {
			r.users[sys.Uid] = name
		}
	}
	return name
}

// groupOf is the cgroup of a process: of v2 where there is one, otherwise that
// of systemd's tree or of the controller that counts processor time.
func groupOf(p procfs.Proc) (path string) {
	list, err := p.Cgroups()
	if err != nil {
		return ""
	}
	for _, g := range list {
		named := len(g.Controllers) == 1 && g.Controllers[0] == "name=systemd"
		switch counts := strings.Contains(strings.Join(g.Controllers, ","), "cpuacct"); {
		case g.HierarchyID == 0 && (g.Path != "/" || len(list) == 1):
			return g.Path
		case (counts || named) && len(g.Path) > len(path):
			path = g.Path
		}
	}
	return path
}

// groups reads what the kernel counts for the cgroups of processes, where v2 is
// mounted at its usual place (cgroup v2, kernel documentation).
func (r *Reader) groups(procs []measure.Process) map[string]measure.Group {
	found := map[string]measure.Group{}
	root := filepath.Join(r.paths.Sys, "fs/cgroup")
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		return found
	}
	for _, p := range procs {
		if _, done := found[p.Group]; done || p.Group == "" || len(found) >= mostGroups {
			continue
		}
		dir := filepath.Join(root, p.Group)
		usage, ok := field(text(filepath.Join(dir, "cpu.stat")), "usage_usec")
		memory, err := strconv.ParseInt(text(filepath.Join(dir, "memory.current")), 10, 64)
		if ok && err == nil {
			found[p.Group] = measure.Group{CPU: float64(usage) / 1e6, Memory: memory}
		}
	}
	return found
}

// field is the number after a name, in a file of lines of both.
func field(text, name string) (int64, bool) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
