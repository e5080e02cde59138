package run

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/api"
)

// The exit codes of a shell for what could not be run.
const (
	CodeNotFound    = 127
	CodeNotRunnable = 126
	codeSignal      = 128
)

// DefaultPath is where programs are looked for if nothing else is said.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Refusal is why a request cannot be run, and the exit code for it.
type Refusal struct {
	Code int
	Err  error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(code int, format string, args ...any) *Refusal {
	return &Refusal{code, fmt.Errorf(format, args...)}
}

// account is who a program runs as.
type account struct {
	name, home string
	credential *syscall.Credential // nil: as g8os_core does
}

func first(req api.ExecRequest) string {
	if len(req.Script) > 0 {
		return "the script"
	}
	return req.Argv[0]
}

// environment is the runner's, the account's, and the request's, in that order.
func (r *Runner) environment(job string, own map[string]string, who account) []string {
	env := []string{"PATH=" + DefaultPath, "HOME=" + who.home, "USER=" + who.name, "LOGNAME=" + who.name}
	if r.opt.Env != nil {
		env = append(env, r.opt.Env()...)
	}
	env = append(env, "G8OS_JOB="+job)
	names := make([]string, 0, len(own))
	for k := range own {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		env = append(env, k+"="+own[k])
	}
	return env
}

func lookUp(name string) (account, error) {
	if name == "" || name == "root" {
		return account{name: "root", home: "/root"}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return account{}, refuse(CodeNotRunnable, "run as user %q: there is no such user", api.Shown(name, 64))
		}
	}
	uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uerr, gerr); err != nil {
		return account{}, refuse(CodeNotRunnable, "run as user %q: %w", name, err)
	}
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, _ := u.GroupIds() // its own is enough
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(n))
		}
	}
	return account{name: u.Username, home: u.HomeDir, credential: cred}, nil
}

// find looks for a program as a shell does: below dir if its name has a slash,
// along PATH otherwise. A shell has commands of its own under some names, so it
// is always given a path.
func find(name, dir string, env []string) (string, error) {
	places := []string{name}
	switch {
	case strings.Contains(name, "/"):
		if !filepath.IsAbs(name) {
			places = []string{filepath.Join(dir, name)}
		}
	default:
		places = nil
		for _, d := range filepath.SplitList(value(env, "PATH")) {
			if d == "" {
				d = "."
			}
			if !filepath.IsAbs(d) {
				d = filepath.Join(dir, d)
			}
			places = append(places, filepath.Join(d, name))
		}
	}
	refusal := refuse(CodeNotFound, "run %q: it was not found", api.Shown(name, 512))
	for _, path := range places {
		st, err := os.Stat(path)
		switch {
		case err != nil:
		case st.IsDir():
			refusal = refuse(CodeNotRunnable, "run %q: %s is a folder", api.Shown(name, 512), api.Shown(path, 512))
		case st.Mode()&0o111 == 0:
			refusal = refuse(CodeNotRunnable, "run %q: %s is not executable", api.Shown(name, 512), api.Shown(path, 512))
		default:
			return path, nil
		}
	}
	return "", refusal
}

func value(env []string, name string) (v string) {
	for _, e := range env { // the last counts
		if x, is := strings.CutPrefix(e, name+"="); is {
			v = x
		}
	}
	return v
}

// script writes the script that came with a job, and returns how to run it: by
// what its first line names, else by a shell. The kernel is not asked to: the
// folder may be mounted noexec.
func (p *Process) script(req api.ExecRequest, who account) ([]string, error) {
	path := filepath.Join(p.dir, "script")
	if err := os.WriteFile(path, req.Script, 0o700); err != nil {
		return nil, fmt.Errorf("run job %s: %w", p.ID, err)
	}
	if c := who.credential; c != nil {
		if err := os.Chown(path, int(c.Uid), int(c.Gid)); err != nil {
			return nil, fmt.Errorf("run job %s: %w", p.ID, err)
		}
	}
	by := []string{"/bin/sh"}
	line, _, _ := bytes.Cut(req.Script, []byte("\n"))
	if text, is := strings.CutPrefix(string(line), "#!"); is {
		name, argument, more := strings.Cut(strings.TrimSpace(text), " ")
		if name == "" {
			return nil, refuse(CodeNotRunnable, "run the script: its first line names no program")
		}
		by = []string{name}
		if argument = strings.TrimSpace(argument); more && argument != "" { // one, as the kernel has it
			by = append(by, argument)
		}
	}
	return append(append(by, path), req.Argv...), nil
}

func startRefusal(c *exec.Cmd, err error) error {
	code := CodeNotRunnable
	if errors.Is(err, os.ErrNotExist) {
		code = CodeNotFound
	}
	return refuse(code, "run %s: %w", c.Path, err)
}

func milliseconds(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/2/int64(time.Millisecond))) * time.Millisecond
}
