// Package cgroup gives services control groups of the second version
// (cgroups(7), the kernel's admin-guide/cgroup-v2.rst): limits, and a grip on all
// that a service has started, however it has run away.
//
// It promises that what a host cannot do is said in one error (ErrNone), and
// that a group is empty when Kill has returned. It writes the kernel's files
// itself; groups that systemd made are left alone.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/services/spec"
)

// Root is where Linux has the hierarchy.
const Root = "/sys/fs/cgroup"

// ErrNone is wrapped when this machine has no control groups of version 2 with
// the controllers that limits need.
var ErrNone = errors.New("this machine has no cgroup v2 with cpu, memory and pids: no limits are set")

// controllers are those that limits need; io is used where it is.
var controllers = []string{"cpu", "memory", "pids"}

// Tree is a group under which those of services are.
type Tree struct{ dir string }

// Open returns the tree of g8os_core, and makes it if it is not there.
func Open(root string) (*Tree, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, fmt.Errorf("%s is no cgroup2: %w", root, ErrNone)
	}
	t := &Tree{filepath.Join(root, "g8os")}
	if err := enable(root); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return t, enable(t.dir)
}

// enable has the groups below one use its controllers.
func enable(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	has := strings.Fields(string(raw))
	for _, c := range controllers {
		if !slices.Contains(has, c) {
			return fmt.Errorf("%s has no controller %s: %w", dir, c, ErrNone)
		}
	}
	for _, c := range append([]string{"io"}, controllers...) {
		if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c); err != nil && c != "io" {
			return fmt.Errorf("%w: %w", ErrNone, err)
		}
	}
	return nil
}

// Group is that of one service.
type Group struct{ dir string }

// Group returns a service's, which need not be there.
func (t *Tree) Group(name string) *Group { return &Group{filepath.Join(t.dir, name)} }

// Make makes it, empty, with limits.
func (g *Group) Make(l spec.Limits) error {
	if err := g.Remove(); err != nil {
		return err
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	for _, s := range settings(l) {
		if err := write(filepath.Join(g.dir, s[0]), s[1]); err != nil {
			return fmt.Errorf("limit of %s: %w", filepath.Base(g.dir), err)
		}
	}
	if l.Memory > 0 { // what it may not have in memory it is not to have in swap either
		swap := filepath.Join(g.dir, "memory.swap.max")
		if _, err := os.Stat(swap); err == nil { // a kernel that has swap has it
			if err := write(swap, "0"); err != nil {
				return fmt.Errorf("limit of %s: %w", filepath.Base(g.dir), err)
			}
		}
	}
	for _, io := range l.IO {
		if err := g.limitIO(io); err != nil {
			return fmt.Errorf("limit of %s: %w", filepath.Base(g.dir), err)
		}
	}
	return nil
}

// period is the time over which processor time is measured, in microseconds.
const period = 100_000

// settings are the files of the limits, and what goes into them.
func settings(l spec.Limits) (all [][2]string) {
	if l.CPU > 0 {
		all = append(all, [2]string{"cpu.max", fmt.Sprintf("%d %d", int64(l.CPU*period), period)})
	}
	if l.Memory > 0 {
		all = append(all, [2]string{"memory.max", strconv.FormatInt(l.Memory, 10)}, [2]string{"memory.oom.group", "1"})
	}
	if l.Pids > 0 {
		all = append(all, [2]string{"pids.max", strconv.Itoa(l.Pids)})
	}
	return all
}

func (g *Group) limitIO(l spec.IO) error {
	var st unix.Stat_t
	if err := unix.Stat(l.Device, &st); err != nil {
		return fmt.Errorf("io of %s: %w", l.Device, err)
	}
	text := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	if l.Read > 0 {
		text += fmt.Sprintf(" rbps=%d", l.Read)
	}
	if l.Write > 0 {
		text += fmt.Sprintf(" wbps=%d", l.Write)
	}
	return write(filepath.Join(g.dir, "io.max"), text)
}

// Open returns the folder, for clone3(2) to put a child into.
func (g *Group) Open() (*os.File, error) { return os.Open(g.dir) }

// Exists tells whether it is there.
func (g *Group) Exists() bool {
	_, err := os.Stat(g.dir)
	return err == nil
}

// emptyLimit is how long killed processes may take to be gone.
const emptyLimit = 5 * time.Second

// Kill kills all that is in it and below, and returns when they are gone.
func (g *Group) Kill() error {
	for deadline := time.Now().Add(emptyLimit); g.populated(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup %s: processes are still there %v after KILL", g.dir, emptyLimit)
		}
		if err := write(filepath.Join(g.dir, "cgroup.kill"), "1"); err != nil { // Linux 5.14
			g.each(func(dir string) { killEach(filepath.Join(dir, "cgroup.procs")) })
		}
	}
	return nil
}

// populated tells whether there are processes.
func (g *Group) populated() bool {
	raw, err := os.ReadFile(filepath.Join(g.dir, "cgroup.events"))
	return err == nil && strings.Contains(string(raw), "populated 1")
}

// OutOfMemory tells whether something in it was killed for wanting more memory
// than it may have.
func (g *Group) OutOfMemory() bool {
	raw, _ := os.ReadFile(filepath.Join(g.dir, "memory.events")) // gone, or without limits: no
	for line := range strings.Lines(string(raw)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}

func killEach(procs string) {
	raw, _ := os.ReadFile(procs) // gone: nothing to kill
	for _, word := range strings.Fields(string(raw)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// each visits the group and those that its processes made below, the lowest
// first.
func (g *Group) each(visit func(dir string)) {
	var dirs []string
	_ = filepath.WalkDir(g.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		visit(dir)
	}
}

// Remove kills what is in it and removes it.
func (g *Group) Remove() (err error) {
	if !g.Exists() {
		return nil
	}
	if err := g.Kill(); err != nil {
		return err
	}
	g.each(func(dir string) { err = unix.Rmdir(dir) })
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cgroup %s: %w", g.dir, err)
	}
	return nil
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0) }
