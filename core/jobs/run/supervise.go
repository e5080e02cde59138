package run

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// killGrace is how long a program has between TERM and KILL.
	killGrace = 5 * time.Second
	// pipeGrace is how long output is read after the program itself has ended.
	pipeGrace = time.Second
)

// Why a program was stopped.
var (
	ErrTimeout   = errors.New("stopped: it ran longer than its timeout")
	ErrCancelled = errors.New("stopped: cancelled")
)

// ErrLeft is returned by Run when the program was left to the next g8os_core.
var ErrLeft = errors.New("left to the next g8os_core")

// Run hands what the program says to sink, stops the program when ctx ends or
// its time is over, and returns its exit code once all that it said is handed
// on; then nothing of it is left to adopt. err says why it was stopped, or is
// ErrLeft after Leave.
//
// keep is called with the same before anything is cleared away: what it does not
// keep, nobody knows.
func (p *Process) Run(ctx context.Context, sink Sink, keep func(code int, err error)) {
	var pumps sync.WaitGroup
	for _, s := range p.streams {
		pumps.Go(func() { s.pump(sink) })
	}
	stopped := p.supervise(ctx)
	if errors.Is(stopped, ErrLeft) {
		for _, s := range p.streams {
			s.halt()
		}
		pumps.Wait()
		p.closeFiles()
		return
	}
	code, killed := p.exitCode()
	p.finish(&pumps)
	if stopped == nil && killed != nil {
		stopped = killed
	}
	select {
	case <-p.left: // a pump may have been turned away
		p.closeFiles()
		return
	default:
	}
	keep(code, stopped)
	if p.shim {
		p.runner.refill()
		_ = p.release()
		return
	}
	p.closeFiles()
	_ = os.RemoveAll(p.dir)
}

// Leave has Run return without an end, so that the next g8os_core adopts the
// program. One without a shim is stopped.
func (p *Process) Leave() { close(p.left) }

// finish lets the pumps come to the end of what the program said. First to what
// it had said when it ended, while the shim holds it; then the shim goes, and
// what is left to wait for is a daemon's.
func (p *Process) finish(pumps *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		pumps.Wait()
		close(done)
	}()
	whole := true
	for _, s := range p.streams {
		whole = p.drain(s, done) && whole
	}
	if p.shim && whole {
		_, _ = p.gate.WriteString("done\n")
	}
	grace := time.NewTimer(pipeGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-p.left:
	case <-grace.C:
	}
	for _, s := range p.streams {
		s.halt()
	}
	<-done
}

// drain waits until a stream is handed on as far as it was written; false: it is
// left to the next g8os_core.
func (p *Process) drain(s *stream, done <-chan struct{}) bool {
	owed := s.owed()
	for wait := 200 * time.Microsecond; s.handed() < owed; wait = min(2*wait, 20*time.Millisecond) {
		select {
		case <-done:
			return true
		case <-p.left:
			return false
		case <-time.After(wait):
		}
	}
	return true
}

// supervise waits for the end, and stops the group when ctx or the time is over:
// TERM, then KILL.
func (p *Process) supervise(ctx context.Context) error {
	var over <-chan time.Time
	if p.deadline > 0 {
		timer := time.NewTimer(time.Duration(max(0, p.deadline-sinceBoot())))
		defer timer.Stop()
		over = timer.C
	}
	var why error
	select {
	case <-p.ended:
		return nil
	case <-p.left:
		if p.shim {
			return ErrLeft
		}
		why = ErrCancelled
	case <-over:
		why = ErrTimeout
	case <-ctx.Done():
		why = ErrCancelled
	}
	p.stop()
	return why
}

// young is how long after its start a program may still be the shell that is
// about to become it, which would lose a signal; again is when it is sent again.
const (
	young = time.Second
	again = 500 * time.Millisecond
)

// stop ends the group: TERM, then KILL.
func (p *Process) stop() {
	p.signal(syscall.SIGTERM)
	if time.Since(p.Started) < young {
		select {
		case <-p.ended:
			return
		case <-time.After(again):
			p.signal(syscall.SIGTERM)
		}
	}
	select {
	case <-p.ended:
	case <-time.After(killGrace):
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// signal reaches the whole group, and only while its leader is the process we
// know: a group id is not used again before the group is empty.
func (p *Process) signal(s syscall.Signal) {
	if p.id.Alive() {
		_ = syscall.Kill(-p.id.PID, s)
	}
}
