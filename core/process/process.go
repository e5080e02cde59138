// Package process starts, watches, adopts and stops the child programs of
// g8os_core (sshd, gocryptfs).
//
// It promises that a child is known by pid and start time, never by name or
// pid alone; that a child outlives a killed core and can be adopted by the
// next one (its output goes to a file, not to a pipe), which then also knows
// how it ended, where it has a Shim; that no thread waits for it; and that Stop
// ends the whole process group, TERM first, KILL after the grace. It is not a
// supervisor: whether and when to start again is the caller's decision, with
// Backoff as the one rule for pauses.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// DefaultGrace is the time between TERM and KILL.
const DefaultGrace = 3 * time.Second

// Spec says what to run. Path must be absolute.
type Spec struct {
	Name   string // names the pid file and the log in RunDir
	Path   string
	Args   []string // without the program itself; never secrets
	Env    []string // empty: that of the core
	Stdin  io.Reader
	RunDir string        // NAME.pid is there
	LogDir string        // NAME.log is there; empty: in RunDir
	Grace  time.Duration // between TERM and KILL; 0: DefaultGrace
	Log    *slog.Logger  // nil: slog.Default

	Dir      string         // empty: that of the core
	Signal   syscall.Signal // instead of TERM; 0: TERM
	Shim     bool           // the exit code is kept in NAME.exit, for the core that adopts it; no Stdin then
	KillRest bool           // when it has ended, what is left of its group is killed
	LogSize  int64          // bytes of the log; 0: 1 MiB
	LogKeep  int            // older logs to keep, NAME.log.1 being the newest; 0: one, below: none
	Change   func(*syscall.SysProcAttr)
	Kill     func() error // instead of KILL to the group; nil: that
}

// Process is one running child, started or adopted.
type Process struct {
	id    ID
	spec  Spec
	from  int64 // length of the log when it began
	log   *slog.Logger
	died  chan struct{}
	mu    sync.Mutex
	cause error // why it died, set before died is closed
}

// Start runs the program in a process group of its own and notes it in its pid
// file.
func Start(spec Spec) (*Process, error) {
	p, err := newProcess(spec).start()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	p.log.Info("child started", "child", spec.Name, "pid", p.id.PID)
	return p, nil
}

func (p *Process) start() (*Process, error) {
	spec := p.spec
	for _, dir := range []string{spec.RunDir, filepath.Dir(spec.logPath())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	out, err := spec.openLog()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.from = size(out)
	cmd, goOn, err := spec.command()
	if err != nil {
		return nil, err
	}
	defer closeAll(append(cmd.ExtraFiles, goOn))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.id.PID = cmd.Process.Pid
	_, p.id.Start, err = readStat(p.id.PID) // it may have ended, but is not reaped yet
	if err == nil {
		err = writePID(spec.pidPath(), p.id)
	}
	var fd *os.File
	if err == nil {
		fd, err = pidfd(p.id.PID)
	}
	if err == nil && goOn != nil {
		_, err = goOn.WriteString("go\n")
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	go p.wait(cmd, fd)
	go p.trimLog()
	return p, nil
}

// command is what to execute. goOn is written to when a shim may begin; nil:
// there is none.
func (s Spec) command() (cmd *exec.Cmd, goOn *os.File, err error) {
	cmd = exec.Command(s.Path, s.Args...)
	if s.Shim {
		exit, err := os.OpenFile(s.exitPath(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, err
		}
		hear, say, err := os.Pipe()
		if err != nil {
			exit.Close()
			return nil, nil, err
		}
		cmd = exec.Command(shell, slices.Concat([]string{"-c", shim, s.Name, s.Path}, s.Args)...)
		cmd.ExtraFiles, goOn = []*os.File{exit, hear}, say
	}
	cmd.Env, cmd.Stdin, cmd.Dir = s.Env, s.Stdin, s.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.Change != nil {
		s.Change(cmd.SysProcAttr)
	}
	return cmd, goOn, nil
}

// Adopt takes over the child that the pid file in RunDir tells of, left by an
// earlier core. ErrNotRunning is wrapped when it does not run any more;
// LastExit may know how it ended.
func Adopt(spec Spec) (*Process, error) {
	id, err := readPID(spec.pidPath())
	if err != nil {
		return nil, fmt.Errorf("adopt %s: %w: %w", spec.Name, ErrNotRunning, err)
	}
	fd, err := id.open()
	if err != nil {
		return nil, fmt.Errorf("adopt %s: %w", spec.Name, err)
	}
	p := newProcess(spec)
	p.id = id
	go p.waitAdopted(fd)
	go p.trimLog()
	p.log.Info("child adopted", "child", spec.Name, "pid", id.PID)
	return p, nil
}

func newProcess(spec Spec) *Process {
	if spec.Grace == 0 {
		spec.Grace = DefaultGrace
	}
	if spec.Signal == 0 {
		spec.Signal = syscall.SIGTERM
	}
	if spec.LogSize == 0 {
		spec.LogSize = maxLog
	}
	if spec.LogKeep == 0 {
		spec.LogKeep = 1
	}
	log := spec.Log
	if log == nil {
		log = slog.Default()
	}
	return &Process{spec: spec, log: log, died: make(chan struct{})}
}

// ID returns pid and start time.
func (p *Process) ID() ID { return p.id }

// Died is closed when the process has ended.
func (p *Process) Died() <-chan struct{} { return p.died }

// Err says how the process ended, with the last line it wrote; nil while it
// runs. ExitCode works on it.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

func (p *Process) ended(err error) {
	if err == nil {
		err = errors.New("exited by itself with code 0")
	}
	p.mu.Lock()
	p.cause = fmt.Errorf("%s (pid %d): %w", p.spec.Name, p.id.PID, err)
	if said := p.said(); said != "" {
		p.cause = fmt.Errorf("%w: it said: %s", p.cause, said)
	}
	p.mu.Unlock()
	p.log.Info("child ended", "child", p.spec.Name, "pid", p.id.PID, "cause", p.cause)
	close(p.died)
}

// Stop ends the process group: TERM, and KILL when it is still there after the
// grace or when ctx ends. It returns when the process is gone.
func (p *Process) Stop(ctx context.Context) error {
	p.signal(p.spec.Signal)
	grace := time.NewTimer(p.spec.Grace)
	defer grace.Stop()
	select {
	case <-p.died:
	case <-grace.C:
		p.kill()
	case <-ctx.Done():
		p.kill()
	}
	<-p.died // nothing survives KILL
	if err := os.Remove(p.spec.pidPath()); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("stop %s: %w", p.spec.Name, err)
	}
	return nil
}

func (p *Process) kill() {
	if p.spec.Kill != nil {
		if err := p.spec.Kill(); err != nil {
			p.log.Warn("cannot kill all of a child, its group is killed", "child", p.spec.Name, "error", err)
		}
	}
	p.signal(syscall.SIGKILL)
}

// signal reaches the whole group, and only while its leader is the process we
// know: a group id is not used again before the group is empty.
func (p *Process) signal(s syscall.Signal) {
	if p.id.Alive() {
		_ = syscall.Kill(-p.id.PID, s)
	}
}

func (s Spec) pidPath() string { return filepath.Join(s.RunDir, s.Name+".pid") }

func (s Spec) exitPath() string { return filepath.Join(s.RunDir, s.Name+".exit") }

func (s Spec) logPath() string {
	if s.LogDir != "" {
		return filepath.Join(s.LogDir, s.Name+".log")
	}
	return filepath.Join(s.RunDir, s.Name+".log")
}

// Output returns the end of what the child wrote since it was started.
func (p *Process) Output() string { return strings.Join(p.spec.lastLines(p.from, 50), "\n") }

// said returns the last lines of output that came since the start, in one line.
func (p *Process) said() string {
	return strings.Join(p.spec.lastLines(p.from, 3), "; ")
}
