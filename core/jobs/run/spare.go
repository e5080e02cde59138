package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// To start a shell takes longer than most of what is run below it. So one shim
// is ahead of the jobs: it waits to hear of one, in a folder that becomes the
// job's, and ends when this g8os_core does.
//
//	RUN/.spare-PID-N ── rename(2) ──▶ RUN/JOB
const sparePrefix = ".spare-"

func isSpare(name string) bool { return strings.HasPrefix(name, sparePrefix) }

// spares are the shims of a Runner that wait for jobs.
type spares struct {
	n      atomic.Int64
	mu     sync.Mutex
	next   chan *Process // holds one, or will soon; nil in it: it failed. nil: none is made
	closed bool
}

// claim takes what there is ahead, or is being made; nil: nothing.
func (s *spares) claim() *Process {
	s.mu.Lock()
	next := s.next
	s.next = nil
	s.mu.Unlock()
	if next == nil {
		return nil
	}
	return <-next
}

// take returns a shim that knows of no program.
func (r *Runner) take(who account) (*Process, error) {
	if who.credential != nil {
		return r.make(who)
	}
	p := r.spares.claim()
	if p != nil && p.id.Alive() {
		return p, nil
	}
	if p != nil {
		p.discard()
	}
	return r.make(who)
}

// make makes a folder, and starts a shim in it.
func (r *Runner) make(who account) (*Process, error) {
	p := r.process(fmt.Sprintf("%s%d-%d", sparePrefix, os.Getpid(), r.spares.n.Add(1)))
	if err := os.MkdirAll(p.dir, 0o711); err != nil {
		return nil, err
	}
	err := p.makePipes()
	if err == nil && p.shim {
		p.cmd = &exec.Cmd{Path: r.shell, Args: []string{r.shell, "-c", shim, "job"}, Env: []string{}, Dir: p.dir}
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: who.credential}
		err = p.launch()
	}
	if err != nil {
		p.discard()
		return nil, err
	}
	return p, nil
}

// refill sees to it that the next job finds a shim.
func (r *Runner) refill() {
	r.spares.mu.Lock()
	defer r.spares.mu.Unlock()
	if r.spares.closed || r.spares.next != nil {
		return
	}
	next := make(chan *Process, 1)
	r.spares.next = next
	go func() {
		p, err := r.make(account{})
		if err != nil {
			r.opt.Log.Debug("no shim ahead of the next job", "error", err)
		}
		next <- p
	}()
}

// discard ends a shim that is not to run its program, and clears away.
func (p *Process) discard() {
	p.turnAway()
	p.closeFiles()
	if p.cmd != nil && p.cmd.Process != nil {
		go func() { _ = p.cmd.Wait() }()
	}
	_ = os.RemoveAll(p.dir)
}

// Close ends what waits for jobs. Programs go on.
func (r *Runner) Close() {
	r.spares.mu.Lock()
	r.spares.closed = true
	r.spares.mu.Unlock()
	if p := r.spares.claim(); p != nil {
		p.discard()
	}
}

// clearSpares removes the folders of those of an earlier g8os_core: they have ended
// with it.
func (r *Runner) clearSpares() {
	left, err := filepath.Glob(filepath.Join(r.opt.Dir, sparePrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		r.opt.Log.Debug("folders of shims are left", "error", err)
	}
}
