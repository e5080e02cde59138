package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// path is where commands are looked for, whatever PID 1's own is.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// grace is how long output may come from what a command left behind.
const grace = 200 * time.Millisecond

// program is a command that runs.
type program struct {
	cmd    *exec.Cmd
	tty    *os.File       // nil: none
	stdin  io.WriteCloser // the terminal's end if there is one
	output []output
	ended  atomic.Bool
}

// output is a pipe of a command and the frames it goes out in.
type output struct {
	*os.File
	kind byte
}

// serveExec runs a command for a host.
func serveExec(ctx context.Context, c *conn, command Command) error {
	p, err := start(command)
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	if err := writeLine(c, answer{}); err != nil {
		p.kill()
	}
	f := &frames{w: c}
	var copies sync.WaitGroup
	for _, out := range p.output {
		copies.Go(func() { p.copyOut(f, out) })
	}
	go p.listen(c, f)
	exit := p.wait()
	copies.Wait()
	_ = p.stdin.Close()
	_ = f.sendJSON(frameExit, exit)
	return nil
}

// start starts a command in a session of its own.
func start(command Command) (*program, error) {
	if len(command.Argv) == 0 {
		return nil, errors.New("no command")
	}
	file, err := look(command.Argv[0])
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: file, Args: command.Argv, Dir: command.Dir}
	cmd.Env = append([]string{"PATH=" + path, "HOME=/root", "LANG=C.UTF-8"}, command.Env...)
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	p := &program{cmd: cmd}
	if command.TTY != nil {
		return p, p.startTTY(*command.TTY)
	}
	return p, p.startPipes()
}

func (p *program) startTTY(size Size) error {
	tty, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: size.Rows, Cols: size.Cols})
	if err != nil {
		return err
	}
	p.tty, p.stdin, p.output = tty, tty, []output{{tty, frameStdout}}
	return nil
}

func (p *program) startPipes() error {
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	var ours [3]*os.File
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours[:])
			return err
		}
		if i == 0 {
			r, w = w, r
		}
		ours[i], theirs = r, append(theirs, w)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	if err := p.cmd.Start(); err != nil {
		closeAll(ours[:])
		return err
	}
	p.stdin, p.output = ours[0], []output{{ours[1], frameStdout}, {ours[2], frameStderr}}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// look finds a program as a shell would.
func look(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(path, ":") {
		file := filepath.Join(dir, name)
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: %w in %s", name, errNotFound, path)
}

var errNotFound = errors.New("not found")

// notRun is the exit code a shell has for a program that could not be run.
func notRun(err error) int {
	_, execve := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, errNotFound), execve && errors.Is(err, fs.ErrNotExist):
		return 127
	case execve:
		return 126
	}
	return 0
}

// kill ends the command and what it started in its group. What has been waited
// for is left alone: its number may be another's by now.
func (p *program) kill() {
	if !p.ended.Load() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (p *program) wait() Exit {
	_ = p.cmd.Wait()
	p.ended.Store(true)
	for _, out := range p.output {
		_ = out.SetReadDeadline(time.Now().Add(grace)) // wakes who reads
	}
	ws, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return Exit{Signal: int(ws.Signal())}
	}
	return Exit{Code: p.cmd.ProcessState.ExitCode()}
}

// copyOut sends output until the end. A command that has ended may have left
// somebody behind who holds the pipe: what is in it still goes out, what may
// come later does not.
func (p *program) copyOut(f *frames, out output) {
	defer out.Close()
	buf := make([]byte, 32<<10)
	for {
		last := p.ended.Load()
		if last {
			_ = out.SetReadDeadline(time.Now().Add(grace))
		}
		n, err := out.Read(buf)
		if n > 0 && f.send(out.kind, buf[:n]) != nil {
			p.kill()
			return
		}
		if err != nil && (last || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return
		}
	}
}

// listen does what the host sends, until it goes away; with it goes the command.
func (p *program) listen(c *conn, f *frames) {
	defer p.kill()
	defer p.stdin.Close() // ends the feeding
	in := make(chan []byte, window+1)
	defer close(in)
	go p.feed(in, f)
	var buf [maxFrame]byte
	for {
		kind, data, err := readFrame(c.r, &buf)
		if err != nil {
			return
		}
		switch kind {
		case frameStdin, frameEnd:
			select {
			case in <- append([]byte(nil), data...):
			default: // more than it may send
				return
			}
		case frameResize:
			p.resize(data)
		case frameSignal:
			p.signal(data)
		}
	}
}

// feed writes stdin. A command that does not take it loses it.
func (p *program) feed(in <-chan []byte, f *frames) {
	for data := range in {
		switch {
		case len(data) > 0:
			_, _ = p.stdin.Write(data)
			_ = f.send(frameTaken, nil)
		case p.tty != nil:
			_, _ = p.tty.Write([]byte{eot})
		default:
			_ = p.stdin.Close()
		}
	}
}

// eot is what a terminal takes for the end of its input.
const eot = 4

func (p *program) resize(data []byte) {
	var size Size
	if json.Unmarshal(data, &size) == nil && p.tty != nil {
		_ = pty.Setsize(p.tty, &pty.Winsize{Rows: size.Rows, Cols: size.Cols})
	}
}

func (p *program) signal(data []byte) {
	var sig int
	if json.Unmarshal(data, &sig) == nil && sig > 0 && !p.ended.Load() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.Signal(sig))
	}
}
