package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/duplex"
)

const (
	hangup = time.Second            // between HUP and KILL
	grace  = 200 * time.Millisecond // how long output may come from what a program left behind

	// The exit codes of a shell for what could not be run.
	codeNotRunnable, codeNotFound, codeSignal = 126, 127, 128
)

// program is a shell's program while it runs.
type program struct {
	cmd   *exec.Cmd
	tty   *os.File       // nil: none
	stdin io.WriteCloser // the terminal's end if there is one
	out   []output
	ended atomic.Bool
	gone  chan struct{} // it has been waited for
}

type output struct {
	*os.File
	kind api.FrameKind
}

// shell runs a program for the operator and returns its exit code.
func shell(ctx context.Context, c *duplex.Conn, open api.ChannelOpen, sizes <-chan api.ChannelSize) (code int, err error) {
	p, err := start(open)
	if err != nil {
		return notRun(err), fmt.Errorf("shell: %w", err)
	}
	if err := c.SendJSON(api.FrameReady, api.ChannelReady{}); err != nil {
		p.stop()
		return codeError, err
	}
	var copies sync.WaitGroup
	for _, o := range p.out {
		copies.Go(func() { p.copyOut(c, o) })
	}
	go p.feed(c)
	go p.resize(sizes)
	select {
	case <-p.gone:
	case <-ctx.Done():
		p.stop()
	}
	copies.Wait()
	_ = p.stdin.Close()
	return exitCode(p.cmd.ProcessState), nil
}

// start starts a program in a session of its own.
func start(open api.ChannelOpen) (*program, error) {
	who, err := accountOf(open.User)
	if err != nil {
		return nil, err
	}
	cmd, err := who.command(open.Argv)
	if err != nil {
		return nil, err
	}
	cmd.Env = who.environment(open)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: who.credential()}
	p := &program{cmd: cmd, gone: make(chan struct{})}
	if open.Term != "" {
		err = p.startTTY(open.Size, who.uid)
	} else {
		err = p.startPipes()
	}
	if err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		p.ended.Store(true)
		for _, o := range p.out {
			_ = o.SetReadDeadline(time.Now().Add(grace)) // wakes who reads
		}
		close(p.gone)
	}()
	return p, nil
}

func (p *program) startTTY(size api.ChannelSize, uid uint32) error {
	ours, theirs, err := pty.Open()
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	defer theirs.Close()
	setSize(ours, size)
	if uid != 0 { // so that it can be opened again by its name
		_ = theirs.Chown(int(uid), -1)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, theirs, theirs
	p.cmd.SysProcAttr.Setctty = true
	if err := p.cmd.Start(); err != nil {
		_ = ours.Close()
		return err
	}
	p.tty, p.stdin, p.out = ours, ours, []output{{ours, api.FrameData}}
	return nil
}

// setSize tells a terminal how large it is. (The function of package pty takes
// the file's number, which may be another's when the file is closed meanwhile.)
func setSize(tty *os.File, s api.ChannelSize) {
	if s.Rows == 0 || s.Cols == 0 {
		s = api.ChannelSize{Rows: 24, Cols: 80}
	}
	if raw, err := tty.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
		})
	}
}

func (p *program) startPipes() error {
	var ours, theirs [3]*os.File
	defer func() { closeAll(theirs[:]) }()
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours[:])
			return err
		}
		if i == 0 {
			r, w = w, r
		}
		ours[i], theirs[i] = r, w
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	if err := p.cmd.Start(); err != nil {
		closeAll(ours[:])
		return err
	}
	p.stdin, p.out = ours[0], []output{{ours[1], api.FrameData}, {ours[2], api.FrameErrors}}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// copyOut sends output until its end. A program that has ended may have left
// somebody behind who holds the pipe: what is in it still goes out, what may
// come later does not.
func (p *program) copyOut(c *duplex.Conn, o output) {
	defer o.Close()
	buf := make([]byte, api.ChannelChunk)
	for {
		last := p.ended.Load()
		if last {
			_ = o.SetReadDeadline(time.Now().Add(grace))
		}
		n, err := o.Read(buf)
		if n > 0 && c.Send(api.ChannelFrame{Kind: o.kind, Data: buf[:n]}) != nil {
			return
		}
		if err != nil && (last || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return
		}
	}
}

// eot is what a terminal takes for the end of its input.
const eot = 4

// feed hands input to the program, until the channel or the program ends.
func (p *program) feed(c *duplex.Conn) {
	if copyIn(c, p.stdin) != nil {
		return
	}
	if p.tty != nil {
		_, _ = p.tty.Write([]byte{eot})
		return
	}
	_ = p.stdin.Close()
}

func (p *program) resize(sizes <-chan api.ChannelSize) {
	for {
		select {
		case size := <-sizes:
			if p.tty != nil {
				setSize(p.tty, size)
			}
		case <-p.gone:
			return
		}
	}
}

// exitCode is the exit status as a shell has it.
func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return codeSignal + int(ws.Signal())
	}
	return s.ExitCode()
}

// notRun is the exit code a shell has for a program that could not be run.
func notRun(err error) int {
	_, execve := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, exec.ErrNotFound), execve && errors.Is(err, fs.ErrNotExist):
		return codeNotFound
	case execve:
		return codeNotRunnable
	}
	return codeError
}
