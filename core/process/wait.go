package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// shell runs a shim: it stays beside a child and writes down how it ended, for
// a core that is not its parent. It takes no part in the signals to their
// group: the child alone says what becomes of it. It begins when it is told
// that its pid is written down; a core that dies before leaves nothing behind.
const (
	shell = "/bin/sh"
	shim  = `trap : HUP INT QUIT TERM USR1 USR2 WINCH ALRM
read go <&4 || exit 125
"$@" 3>&- 4<&-
code=$?
echo $code >&3
exit $code`
)

// codeSignal is added to a signal's number, as shells do.
const codeSignal = 128

// CodeError is how a process ended.
type CodeError struct{ Code int }

func (e CodeError) Error() string {
	if e.Code > codeSignal && e.Code < codeSignal+65 {
		return "ended by signal " + syscall.Signal(e.Code-codeSignal).String()
	}
	return "exit code " + strconv.Itoa(e.Code)
}

// errUnknown is how a process ended that nobody waited for.
var errUnknown = errors.New("ended (it was adopted, its exit code is not known)")

// ExitCode returns the exit code in an error of Err, -1 when there is none; 128
// and more: a signal.
func ExitCode(err error) int {
	if e, ok := errors.AsType[CodeError](err); ok {
		return e.Code
	}
	return -1
}

// LastExit says how the child of a spec with a Shim ended that does not run any
// more; false: nobody knows.
func LastExit(spec Spec) (code int, known bool) {
	raw, err := os.ReadFile(spec.exitPath())
	if err != nil {
		return 0, false
	}
	code, err = strconv.Atoi(strings.TrimSpace(string(raw)))
	return code, err == nil
}

// pidfd returns a handle that can be waited on without a thread.
func pidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// waitExit returns when the process behind a pidfd has ended.
func waitExit(pidfd *os.File) {
	raw, err := pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool { return exited(fd, 0) })
	}
	if err != nil { // the runtime cannot poll it: wait in a thread
		exited(pidfd.Fd(), -1)
	}
}

// exited asks whether a process has ended, for a time in milliseconds; -1: as
// long as it takes.
func exited(fd uintptr, timeout int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, timeout)
		if !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil
		}
	}
}

// wait waits for a child of ours.
func (p *Process) wait(cmd *exec.Cmd, fd *os.File) {
	waitExit(fd)
	fd.Close()
	if p.spec.KillRest { // the child is not buried yet, so the group is still its own
		_ = syscall.Kill(-p.id.PID, syscall.SIGKILL)
	}
	err := cmd.Wait()
	if cmd.ProcessState != nil {
		err = CodeError{codeOf(cmd.ProcessState.Sys().(syscall.WaitStatus))}
	}
	p.ended(err)
}

func codeOf(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return codeSignal + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// waitAdopted waits for one that another core started.
func (p *Process) waitAdopted(fd *os.File) {
	waitExit(fd)
	var err error = errUnknown
	if code, ok := bury(p.id.PID); ok {
		err = CodeError{code}
	} else if code, ok := LastExit(p.spec); ok && p.spec.Shim {
		err = CodeError{code}
	}
	fd.Close()
	p.ended(err)
}

// bury waits for a child of ours that is dead: PID 1 that began anew has
// children that it does not know of.
func bury(pid int) (code int, ok bool) {
	var ws syscall.WaitStatus
	if got, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil); err != nil || got != pid {
		return 0, false // it was another's
	}
	return codeOf(ws), true
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
