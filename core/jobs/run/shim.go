package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// shim runs the program that the file program tells it of. It catches the
// signals that end its group, so that it lives to write the exit code (a shell
// runs a trap only after the command it waits for); the program has them as they
// were. One that comes before the program has begun keeps it from beginning. A
// read that a signal interrupts fails: a hundred of them are no pipe any more.
//
//	3 exit   4 told   5 6 the pipes, held open   7 gate   8 birth   9 stderr
//
// At its birth it reads whether there is a job for it: it ends with a g8os_core
// that has none. Then it loads the file, which keeps nobody waiting, and waits at
// the gate. The shell's own stderr is not the program's: it would say how that
// ended.
const shim = `trap g8os_t=1 HUP INT QUIT TERM
exec 9>&2 2>/dev/null
read g8os_w <&8
[ "$g8os_w" = load ] || exit 143
exec 8<&-
. ./program
read g8os_w <&7
[ "$g8os_w" = go ] || [ "$g8os_t" ] || exit 0
echo run >&3
g8os_c=143
[ "$g8os_t" ] || {
	([ "$g8os_p" != ok ] || exec "$@" 2>&9 3>&- 4>&- 5>&- 6>&- 7>&- 9>&-; exit 126)
	g8os_c=$?
}
echo $g8os_c >&3
echo >&4
g8os_n=0
until [ "$g8os_w" = done ] || [ $g8os_n -gt 100 ]; do read g8os_w <&7 || g8os_n=$((g8os_n+1)); done
exec 5>&- 6>&-
`

const (
	exitFile    = "exit"
	toldPipe    = "told"
	gatePipe    = "gate"
	stdinFile   = "0"
	programFile = "program"
)

// makePipes makes a job's pipes, and opens the ends that are ours.
func (p *Process) makePipes() error {
	for _, name := range []string{"1", "2", toldPipe, gatePipe} {
		if err := syscall.Mkfifo(filepath.Join(p.dir, name), 0o600); err != nil {
			return fmt.Errorf("pipe %s: %w", name, err)
		}
	}
	return p.openPipes([2]uint64{})
}

// openPipes opens our ends. None of it blocks.
func (p *Process) openPipes(read [2]uint64) (err error) {
	for i := range p.streams {
		if p.streams[i], err = openStream(p.dir, byte(i+1), read[i]); err != nil {
			return err
		}
	}
	if p.told, err = os.OpenFile(filepath.Join(p.dir, toldPipe), os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		return err
	}
	p.gate, err = os.OpenFile(filepath.Join(p.dir, gatePipe), os.O_RDWR|syscall.O_NONBLOCK, 0)
	return err
}

// handOver gives a command the job's files. They are to be closed when it has
// begun.
func (p *Process) handOver(c *exec.Cmd) (files []*os.File, err error) {
	open := func(name string, flag int) *os.File {
		if err != nil {
			return nil
		}
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(p.dir, name), flag, 0o600); err == nil {
			files = append(files, f)
		}
		return f
	}
	c.Stdout, c.Stderr = open("1", os.O_WRONLY), open("2", os.O_WRONLY)
	if p.shim {
		c.ExtraFiles = []*os.File{
			open(exitFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND), open(toldPipe, os.O_RDWR),
			open("1", os.O_RDWR), open("2", os.O_RDWR), open(gatePipe, os.O_RDWR),
		}
	}
	if p.shim && err == nil {
		var hear *os.File
		if hear, p.birth, err = os.Pipe(); err == nil {
			files, c.ExtraFiles = append(files, hear), append(c.ExtraFiles, hear)
		}
	}
	return files, err
}

// wait follows the shim to its end.
func (p *Process) wait(end func()) {
	go func() {
		end()
		close(p.gone)
		p.once.Do(func() { close(p.ended) })
	}()
	if !p.shim {
		return
	}
	if p.code() < 0 {
		var b [1]byte
		if _, err := p.told.Read(b[:]); err != nil {
			return // closed
		}
	}
	p.once.Do(func() { close(p.ended) })
}

// wasStarted says whether the shim has started the program.
func (p *Process) wasStarted() bool {
	text, err := os.ReadFile(filepath.Join(p.dir, exitFile))
	return err == nil && strings.HasPrefix(string(text), "run\n")
}

// code is the exit code that the shim has written, -1: none.
func (p *Process) code() int {
	text, err := os.ReadFile(filepath.Join(p.dir, exitFile))
	code, is := strings.CutPrefix(string(text), "run\n")
	if err != nil || !is || !strings.HasSuffix(code, "\n") {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(code))
	if err != nil {
		return -1
	}
	return n
}

// ErrKilled is why there is no exit code of a program's own.
var ErrKilled = errors.New("killed together with all that it had started")

// exitCode is how the program has ended, after ended was closed.
func (p *Process) exitCode() (int, error) {
	if !p.shim {
		return stateCode(p.cmd.ProcessState), nil
	}
	if code := p.code(); code >= 0 {
		return code, nil
	}
	<-p.gone
	if p.cmd != nil && p.cmd.ProcessState != nil {
		return stateCode(p.cmd.ProcessState), ErrKilled
	}
	return codeSignal + int(syscall.SIGKILL), ErrKilled
}

func stateCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return codeSignal + int(ws.Signal())
	}
	return s.ExitCode()
}

// releaseGrace is how long a shim may take to end when it is let go.
const releaseGrace = 5 * time.Second

// release clears away. The shim has been let go.
func (p *Process) release() error {
	p.closeFiles()
	go func() {
		select {
		case <-p.gone:
		case <-time.After(releaseGrace):
			p.signal(syscall.SIGKILL)
		}
	}()
	return os.RemoveAll(p.dir)
}

func (p *Process) closeFiles() {
	for _, s := range p.streams {
		if s != nil {
			s.close()
		}
	}
	for _, f := range []*os.File{p.told, p.gate, p.birth} {
		if f != nil {
			_ = f.Close()
		}
	}
}
