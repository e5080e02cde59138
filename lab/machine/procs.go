package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// procs is the process side of an init: it starts jobs on request and reaps
// everything, its own and what was orphaned onto it.
type procs struct {
	logs  *os.Root
	log   *slog.Logger
	relay *relay // nil: the machine holds no virtual one

	mu    sync.Mutex
	jobs  []State
	ended chan struct{} // closed and replaced whenever a job ends
}

func newProcs(logs *os.Root, log *slog.Logger) *procs {
	return &procs{logs: logs, log: log, ended: make(chan struct{})}
}

// serve answers control requests until the machine loses power.
func (p *procs) serve(control net.Listener) error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			p.reap()
		}
	}()
	// Caught and dropped, not ignored: jobs would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	for {
		c, err := control.Accept()
		if err != nil {
			return fmt.Errorf("control socket: %w", err)
		}
		go p.answer(c)
	}
}

// reap collects every child that has ended. Signals coalesce, so it goes on
// until there is none.
func (p *procs) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		p.note(pid, ws)
	}
}

// note writes down how a job ended. The lock is held.
func (p *procs) note(pid int, ws syscall.WaitStatus) {
	i := slices.IndexFunc(p.jobs, func(s State) bool { return s.Running && s.PID == pid })
	if i < 0 {
		return // an orphan
	}
	j := &p.jobs[i]
	j.Running, j.Since, j.Code = false, time.Now(), ws.ExitStatus()
	if ws.Signaled() {
		j.Code = 128 + int(ws.Signal())
	}
	p.log.Info("job ended", "job", j.Name, "pid", pid, "code", j.Code)
	close(p.ended)
	p.ended = make(chan struct{})
}

func (p *procs) answer(c net.Conn) {
	defer c.Close()
	var q request
	if err := json.NewDecoder(c).Decode(&q); err != nil {
		return
	}
	r, err := p.do(q)
	if err != nil {
		r.Error = err.Error()
	}
	_ = json.NewEncoder(c).Encode(r)
}

func (p *procs) do(q request) (response, error) {
	switch q.Op {
	case "start":
		return response{}, p.start(q.Job)
	case "signal":
		return response{}, p.signal(q.Name, q.Signal)
	case "list":
		p.mu.Lock()
		defer p.mu.Unlock()
		return response{Jobs: slices.Clone(p.jobs)}, nil
	case "release":
		if p.relay == nil || q.Release == nil {
			return response{}, errors.New("the machine holds no virtual one")
		}
		return response{}, p.relay.letGoNow(*q.Release)
	case "wait":
		s, err := p.wait(q.Name)
		return response{Jobs: []State{s}}, err
	}
	return response{}, fmt.Errorf("unknown operation %q", q.Op)
}

// newest finds the newest job of a name, or returns -1. The lock is held.
func (p *procs) newest(name string) int {
	for i, j := range slices.Backward(p.jobs) {
		if j.Name == name {
			return i
		}
	}
	return -1
}

// start forks under the lock, so that reap cannot see the child before it is
// in the list.
func (p *procs) start(job Job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.newest(job.Name); i >= 0 && p.jobs[i].Running {
		return fmt.Errorf("already runs, as process %d of the machine", p.jobs[i].PID)
	}
	if len(job.Argv) == 0 {
		return errors.New("no command")
	}
	program, err := Look(job.Argv[0])
	if err != nil {
		return err
	}
	out, err := p.logs.OpenFile(job.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		return err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(program, job.Argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   append([]string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8"}, job.Env...),
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	p.log.Info("job started", "job", job.Name, "pid", pid, "argv", job.Argv)
	p.jobs = append(p.jobs, State{Name: job.Name, PID: pid, Running: true, Since: time.Now()})
	return nil
}

// signal cannot hit a stranger: a job that runs has not been reaped, so its
// number is still its own.
func (p *procs) signal(name string, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.newest(name)
	if i < 0 || !p.jobs[i].Running {
		return errors.New("does not run")
	}
	return syscall.Kill(p.jobs[i].PID, sig)
}

func (p *procs) wait(name string) (State, error) {
	for {
		p.mu.Lock()
		i, ended := p.newest(name), p.ended
		if i < 0 {
			p.mu.Unlock()
			return State{}, errors.New("never ran")
		}
		s := p.jobs[i]
		p.mu.Unlock()
		if !s.Running {
			return s, nil
		}
		<-ended
	}
}

// ErrNoProgram is wrapped when a program is not there.
var ErrNoProgram = errors.New("not found")

// Look finds a program in Path, whatever $PATH is where g8lab was called. Its
// error wraps ErrNoProgram.
func Look(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(Path, ":") {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("program %q %w in %s", name, ErrNoProgram, Path)
}
