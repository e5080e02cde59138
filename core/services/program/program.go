// Package program runs a service that is a program of this machine.
//
// It promises what core/process does (known by pid and start time, adopted with
// its exit code, a log of bounded size that loses nothing), and beside it the
// user, cgroup, namespaces and readiness test that the declaration asks for.
// With a cgroup nothing that a service starts can run away from its end;
// without one, what has left its process group can.
package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/cgroup"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
	"github.com/g8os/g8os/core/services/spec"
)

// Env is what services find: a daemon's own environment is no business of theirs.
var Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}

// Where says where things are.
type Where struct {
	RunDir string       // NAME.pid, NAME.exit, NAME.notify: gone after a reboot
	LogDir string       // NAME.log
	Groups *cgroup.Tree // nil: this machine has none
	Log    *slog.Logger
}

// Program is one service.
type Program struct {
	s spec.Service
	w Where
}

// New returns the runtime of a service. It touches nothing.
func New(s spec.Service, w Where) *Program { return &Program{s, w} }

var _ runtime.Runtime = (*Program)(nil)

func (p *Program) process() process.Spec {
	spec := process.Spec{
		Name: p.s.Name, RunDir: p.w.RunDir, LogDir: p.w.LogDir, Dir: p.s.Dir, Grace: p.s.Grace, Log: p.w.Log,
		Signal: unix.SignalNum("SIG" + p.s.Signal), Shim: true, KillRest: true, LogSize: p.s.LogSize, LogKeep: p.s.LogKeep,
	}
	if p.s.LogKeep == 0 {
		spec.LogKeep = -1
	}
	if g := p.group(); g != nil {
		spec.Kill = g.Kill
	}
	return spec
}

func (p *Program) group() *cgroup.Group {
	if p.w.Groups == nil {
		return nil
	}
	return p.w.Groups.Group(p.s.Name)
}

// Start starts it.
func (p *Program) Start(context.Context) (runtime.Instance, error) {
	for _, path := range p.s.Condition {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: %w", runtime.ErrUnmet, err)
		}
	}
	who, err := account(p.s.User, p.s.Group)
	if err != nil {
		return nil, err
	}
	ps := p.process()
	ps.Env = p.env(who)
	if ps.Path, err = lookPath(p.s.Command[0], ps.Env, p.s.Dir); err != nil {
		return nil, err
	}
	ps.Args = p.s.Command[1:]
	if st, err := os.Stat(p.s.Dir); err != nil || !st.IsDir() { // else the program would be blamed
		return nil, fmt.Errorf("there is no folder %s", p.s.Dir)
	}
	i := &instance{p: p}
	if p.s.Ready.Notify {
		if i.socket, err = listen(p.socket(), who); err != nil {
			return nil, err
		}
	}
	if i.process, err = p.start(ps, who); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

// start puts the child into its cgroup, as its user.
func (p *Program) start(ps process.Spec, who *syscall.Credential) (*process.Process, error) {
	group := p.group()
	var folder *os.File
	if group != nil {
		if err := group.Make(p.s.Limits); err != nil {
			return nil, err
		}
		var err error
		if folder, err = group.Open(); err != nil {
			return nil, err
		}
		defer folder.Close()
	}
	if p.s.PrivateTmp || slices.Contains(p.s.Namespaces, "pid") {
		var err error
		if ps, err = within(ps, who, p.s); err != nil {
			return nil, err
		}
		who = nil // it becomes that itself, once it has mounted
	}
	ps.Change = func(a *syscall.SysProcAttr) {
		a.Credential = who
		a.Cloneflags = cloneFlags(p.s.Namespaces)
		if folder != nil {
			a.UseCgroupFD, a.CgroupFD = true, int(folder.Fd())
		}
	}
	return process.Start(ps)
}

func (p *Program) env(who *syscall.Credential) []string {
	env := append([]string{}, Env...)
	env = append(env, homeOf(who)...)
	env = append(env, p.s.Env...)
	if p.s.Ready.Notify {
		env = append(env, "NOTIFY_SOCKET="+p.socket())
	}
	return env
}

func (p *Program) socket() string { return filepath.Join(p.w.RunDir, p.s.Name+".notify") }

// lookPath finds the program as a shell with the service's PATH would.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, executable(name)
	}
	path := ""
	for _, e := range env { // the last one counts
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in %s", name, path)
}

func executable(path string) error {
	switch st, err := os.Stat(path); {
	case err != nil:
		return fmt.Errorf("there is no program %s: %w", path, err)
	case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
		return fmt.Errorf("%s is no program: it cannot be executed", path)
	}
	return nil
}

// Adopt takes over one that an earlier g8os_core has started.
func (p *Program) Adopt() (runtime.Instance, error) {
	child, err := process.Adopt(p.process())
	if errors.Is(err, process.ErrNotRunning) {
		return nil, fmt.Errorf("%w: %w", runtime.ErrNotRunning, err)
	} else if err != nil {
		return nil, err
	}
	i := &instance{p: p, process: child}
	if p.s.Ready.Notify {
		who, err := account(p.s.User, p.s.Group)
		if err == nil {
			i.socket, err = listen(p.socket(), who)
		}
		if err != nil {
			p.w.Log.Warn("a service that was adopted cannot say that it is ready", "service", p.s.Name, "error", err)
		}
	}
	return i, nil
}

// LastExit says how the last one ended.
func (p *Program) LastExit() order.Exit {
	code, known := process.LastExit(p.process())
	x := order.Exit{Known: known, Code: code, Why: process.CodeError{Code: code}.Error() + " while no g8os_core ran"}
	if !known {
		x = order.Exit{Why: "ended while no g8os_core ran; its exit code is not known"}
	}
	if g := p.group(); g != nil && g.OutOfMemory() {
		x.Why = p.tooMuch() + ": " + x.Why
	}
	return x
}

func (p *Program) tooMuch() string {
	if p.s.Limits.Memory == 0 {
		return "the machine was out of memory"
	}
	return "out of its memory, " + humanize.IBytes(uint64(p.s.Limits.Memory))
}

// Logs hands out what it wrote.
func (p *Program) Logs(ctx context.Context, lines int, follow bool, write func([]byte) error) error {
	return process.Logs(ctx, p.process(), lines, follow, write)
}
