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
//	       /script   the program, if that came with the job
//
// The shim waits at the gate before it starts the program, so that the program
// runs only when it is known of; and after it has ended, with the pipes open, so
// that what is in them is not lost while nobody reads.
package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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
	// Enter, if set, puts a program into a group of its own before it runs, and
	// Kill ends all that is in there; it says whether there is one. (cgroup v2)
	Enter func(job string, attr *syscall.SysProcAttr)
	Kill  func(job string) bool
	Log   *slog.Logger
}

// Runner starts and adopts programs.
type Runner struct {
	opt   Options
	shell string
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
	gate     *os.File
	told     *os.File

	ended chan struct{} // the shim is gone, or has told
	gone  chan struct{} // the shim is gone
	left  chan struct{} // Leave was called
	once  sync.Once
}

// Start starts the shim of a program, which waits for Go. The error is a
// *Refusal when the request is to blame.
func (r *Runner) Start(id string, req api.ExecRequest, now time.Time) (*Process, error) {
	if id == "" || id == "." || id == ".." || filepath.Base(id) != id {
		return nil, refuse(CodeNotRunnable, "job %q: this is no name for a folder", api.Shown(id, 64))
	}
	p := r.process(id)
	p.Started, p.shim = now, r.shell != ""
	if err := os.MkdirAll(r.opt.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("run job %s: %w", id, err)
	}
	if err := errors.Join(os.RemoveAll(p.dir), os.Mkdir(p.dir, 0o711)); err != nil {
		return nil, fmt.Errorf("run job %s: %w", id, err)
	}
	err := r.start(p, req)
	if err != nil {
		p.closeFiles()
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	return p, nil
}

func (r *Runner) process(id string) *Process {
	return &Process{
		ID: id, runner: r, dir: filepath.Join(r.opt.Dir, id),
		ended: make(chan struct{}), gone: make(chan struct{}), left: make(chan struct{}),
	}
}

func (r *Runner) start(p *Process, req api.ExecRequest) error {
	c, err := r.command(p, req)
	if err != nil {
		return err
	}
	if req.TimeoutMS > 0 {
		p.deadline = sinceBoot() + int64(milliseconds(req.TimeoutMS))
	}
	if err := p.makePipes(); err != nil {
		return fmt.Errorf("run job %s: %w", p.ID, err)
	}
	files, err := p.handOver(c, req.Stdin)
	defer closeAll(files)
	if err != nil {
		return fmt.Errorf("run job %s: %w", p.ID, err)
	}
	p.cmd = c
	if !p.shim {
		return nil // by Go: there is no gate to wait at
	}
	return p.launch()
}

func (p *Process) launch() error {
	if err := p.cmd.Start(); err != nil {
		return startRefusal(p.cmd, err)
	}
	id, err := process.Identify(p.cmd.Process.Pid)
	if err == nil {
		p.id = id
		err = p.writeNote()
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		return fmt.Errorf("run job %s: %w", p.ID, err)
	}
	go p.wait(func() { _ = p.cmd.Wait() })
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
	return p.launch()
}

// Clear removes what is left of a job whose end is kept.
func (r *Runner) Clear(id string) {
	p := r.process(id)
	if f, err := os.OpenFile(filepath.Join(p.dir, gatePipe), os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		_, _ = f.WriteString("done\n")
		_ = f.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// End stops a program that an earlier g8os_core has left, and clears away: there
// is no next one.
func (r *Runner) End(id string) error {
	r.process(id).turnAway()
	p, err := r.Adopt(id, [2]uint64{})
	if err != nil {
		return err
	}
	p.stop()
	_, err = p.gate.WriteString("done\n")
	return errors.Join(err, p.release())
}

// ErrNeverStarted is wrapped by Adopt when a program was not started, and is not
// going to be.
var ErrNeverStarted = errors.New("it was not started")

// Left lists the jobs whose folders an earlier g8os_core has left.
func (r *Runner) Left() (ids []string) {
	entries, _ := os.ReadDir(r.opt.Dir)
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids
}

// Adopt takes over a program that an earlier g8os_core has started; read is how
// much of its output was kept. The program may have ended. One that was never
// to start, ErrNeverStarted, is cleared away.
func (r *Runner) Adopt(id string, read [2]uint64) (*Process, error) {
	p := r.process(id)
	n, err := p.readNote()
	if err != nil {
		p.turnAway()
		return nil, fmt.Errorf("adopt job %s: %w", id, errors.Join(err, os.RemoveAll(p.dir)))
	}
	p.shim, p.Started, p.deadline = true, n.Started, n.Deadline
	p.id = process.ID{PID: n.PID, Start: n.Start}
	if err := p.openPipes(read); err != nil {
		p.closeFiles()
		return nil, fmt.Errorf("adopt job %s: %w", id, err)
	}
	if !p.id.Alive() {
		if !p.wasStarted() {
			p.closeFiles()
			return nil, errors.Join(fmt.Errorf("adopt job %s: %w", id, ErrNeverStarted), os.RemoveAll(p.dir))
		}
		close(p.gone)
		close(p.ended)
		return p, nil
	}
	if !p.wasStarted() {
		if err := p.Go(); err != nil { // a second one does no harm
			return nil, fmt.Errorf("adopt job %s: %w", id, err)
		}
	}
	go p.wait(p.id.Wait)
	return p, nil
}

func (p *Process) readNote() (n note, err error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "job"))
	if errors.Is(err, fs.ErrNotExist) {
		return n, ErrNeverStarted
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err == nil && (n.ID != p.ID || n.PID <= 1) {
		err = fmt.Errorf("%s: not a note of this job", p.dir)
	}
	return n, err
}

// turnAway has a shim end that waits at the gate and is not known of.
func (p *Process) turnAway() {
	if f, err := os.OpenFile(filepath.Join(p.dir, gatePipe), os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		_, _ = f.WriteString("stop\n")
		_ = f.Close()
	}
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
