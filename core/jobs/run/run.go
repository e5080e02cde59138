// Package run runs the programs of jobs, so that they outlive g8os_core.
//
// It promises that a program is started once, and only after Go; that its
// process group can be stopped as one; that a killed g8os_core loses neither its
// exit code nor a byte of what it said, and does no harm to it; that a daemon
// that a program leaves behind does not keep it alive; and that a bad request is
// refused with the exit code that a shell has for it. It decides nothing and
// keeps nothing: what a program said is handed to a Sink.
//
// A program runs below a shim, a few lines of shell in a session of their own,
// which know nothing of g8os_core but the files that they hold open:
//
//	RUN/JOB/job      what this is: id, pid and start time of the shim, deadline
//	       /1 /2     stdout and stderr: named pipes
//	       /1.N /2.N what was taken out of them from byte N on, and not yet kept
//	       /gate     what the shim reads: "go", then "done"
//	       /exit     what it writes: "run", then the exit code
//	       /told     a byte when it has
//	       /program  what the shim runs, and with what: lines of shell
//	       /0        what that reads
//	       /script   the program itself, if that came with the job
//
// The shim waits at the gate before it starts the program, so that the program
// runs only when it is known of (it was started before there was a job, see
// spares); and after it has ended, with the pipes open, so
// that what is in them is not lost while nobody reads.
package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/process"
)

// Sink takes what a program said: a piece of stream 1 or 2 that ends at byte
// end of that stream. It returns false when the piece was not kept, because
// g8os_core ends: the next one gets it again. Data is not to be held.
type Sink func(stream byte, end uint64, data []byte) bool

// Options of a Runner.
type Options struct {
	Dir   string          // of the jobs' folders; what is in it is gone after a reboot
	Shell string          // of the shim; empty: /bin/sh
	Env   func() []string // of every program, before what is its own; nil: nothing
	Log   *slog.Logger
}

// Runner starts and adopts programs.
type Runner struct {
	opt    Options
	shell  string
	spares spares
}

// New returns a Runner. Without a shell programs run all the same, but end with
// g8os_core.
func New(o Options) *Runner {
	r := &Runner{opt: o, shell: o.Shell}
	if r.shell == "" {
		r.shell = "/bin/sh"
	}
	if _, err := exec.LookPath(r.shell); err != nil {
		o.Log.Warn("jobs do not outlive g8os_core here: there is no shell to run them under", "shell", r.shell, "error", err)
		r.shell = ""
	}
	r.clearSpares()
	return r
}

// note is what the file job holds.
type note struct {
	ID       string    `json:"id"`
	PID      int       `json:"pid"`
	Start    uint64    `json:"start"`              // clock ticks since the machine started
	Started  time.Time `json:"started"`            // for people
	Deadline int64     `json:"deadline,omitempty"` // by CLOCK_BOOTTIME, in ns; 0: none
}

// Process is one program.
type Process struct {
	ID      string
	Started time.Time

	runner   *Runner
	dir      string
	id       process.ID
	cmd      *exec.Cmd // nil: adopted
	shim     bool
	deadline int64
	streams  [2]*stream
	birth    *os.File // where the shim hears of its job
	gate     *os.File
	told     *os.File

	ended chan struct{} // the shim is gone, or has told
	gone  chan struct{} // the shim is gone
	left  chan struct{} // Leave was called
	once  sync.Once
}

// Start has a shim know of a program, which waits for Go. The error is a
// *Refusal when the request is to blame.
func (r *Runner) Start(id string, req api.ExecRequest, now time.Time) (*Process, error) {
	if id == "" || strings.HasPrefix(id, ".") || filepath.Base(id) != id {
		return nil, refuse(CodeNotRunnable, "job %q: this is no name for a folder", api.Shown(id, 64))
	}
	who, err := lookUp(req.User)
	if err != nil {
		return nil, err
	}
	p, err := r.take(who)
	if err == nil {
		err = p.become(id)
	}
	if err != nil {
		return nil, fmt.Errorf("run job %s: %w", id, err)
	}
	p.Started = now
	if err = p.charge(req, who); err == nil && p.shim {
		_, err = p.birth.WriteString("load\n")
	}
	if err != nil {
		p.discard()
		return nil, err
	}
	if p.shim {
		go p.wait(func() { _ = p.cmd.Wait() })
	}
	return p, nil
}

func (r *Runner) process(id string) *Process {
	return &Process{
		ID: id, runner: r, dir: filepath.Join(r.opt.Dir, id), shim: r.shell != "",
		ended: make(chan struct{}), gone: make(chan struct{}), left: make(chan struct{}),
	}
}

// become makes the folder and the shim those of a job.
func (p *Process) become(id string) error {
	dir := filepath.Join(p.runner.opt.Dir, id)
	if err := errors.Join(os.RemoveAll(dir), os.Rename(p.dir, dir)); err != nil {
		p.discard()
		return err
	}
	p.ID, p.dir = id, dir
	for _, s := range p.streams {
		s.dir = dir
	}
	return nil
}

// charge tells the shim of the program.
func (p *Process) charge(req api.ExecRequest, who account) error {
	g, err := p.runner.program(p, req, who)
	if err != nil {
		return err
	}
	if req.TimeoutMS > 0 {
		p.deadline = sinceBoot() + int64(milliseconds(req.TimeoutMS))
	}
	if len(g.stdin) > 0 { // a file, not a pipe: a program that does not read it keeps nobody waiting
		err = p.write(stdinFile, g.stdin, g.who)
	}
	if p.shim {
		err = errors.Join(err, p.write(programFile, g.text(), g.who), p.writeNote())
	} else if err == nil {
		err = p.plain(g) // by Go: there is no gate to wait at
	}
	if err != nil {
		return fmt.Errorf("run job %s: %w", p.ID, err)
	}
	return nil
}

// write writes a file for the program's user.
func (p *Process) write(name string, text []byte, who account) error {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil || who.credential == nil {
		return err
	}
	return os.Chown(path, int(who.credential.Uid), int(who.credential.Gid))
}

// plain makes the command of a program that has no shim.
func (p *Process) plain(g program) error {
	p.cmd = &exec.Cmd{Path: g.argv[0], Args: g.argv, Env: g.env, Dir: g.dir}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: g.who.credential}
	if len(g.stdin) == 0 {
		return nil
	}
	f, err := os.Open(filepath.Join(p.dir, stdinFile))
	p.cmd.Stdin = f
	return err
}

// launch starts the command, with the job's files.
func (p *Process) launch() error {
	files, err := p.handOver(p.cmd)
	if f, ok := p.cmd.Stdin.(*os.File); ok {
		files = append(files, f)
	}
	defer closeAll(files)
	if err != nil {
		return fmt.Errorf("run job %s: %w", p.ID, err)
	}
	if err := p.cmd.Start(); err != nil {
		return startRefusal(p.cmd, err)
	}
	if p.id, err = process.Identify(p.cmd.Process.Pid); err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		return fmt.Errorf("run job %s: %w", p.ID, err)
	}
	return nil
}

func (p *Process) writeNote() error {
	text, err := json.Marshal(note{ID: p.ID, PID: p.id.PID, Start: p.id.Start, Started: p.Started, Deadline: p.deadline})
	if err != nil {
		return err
	}
	path := filepath.Join(p.dir, "job")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Go lets the program run.
func (p *Process) Go() error {
	if p.shim {
		_, err := p.gate.WriteString("go\n")
		return err
	}
	if err := p.launch(); err != nil {
		return err
	}
	go p.wait(func() { _ = p.cmd.Wait() })
	return nil
}

// sinceBoot is CLOCK_BOOTTIME in ns: it goes on while no g8os_core runs.
func sinceBoot() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return t.Nano()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
