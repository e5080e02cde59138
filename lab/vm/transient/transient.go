// Package transient runs a QEMU that must not outlive its maker: for proving
// that something boots, and for making a template.
//
// It promises that the child is killed with the process that made it, however
// that ends, that it has no network, and that Close leaves nothing of it. It is
// not for the nodes of a lab, which outlive g8lab.
package transient

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// VM is a running QEMU.
type VM struct {
	cmd   *exec.Cmd
	said  tail
	ended chan struct{}
	err   error // how it ended; after ended
}

// Start runs QEMU. What it says itself, not the guest, is in Said.
func Start(argv []string) (*VM, error) {
	v := &VM{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	v.cmd.Stdout, v.cmd.Stderr = &v.said, &v.said
	v.cmd.Dir = "/"
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true, Cloneflags: syscall.CLONE_NEWNET}
	started := make(chan error, 1)
	go func() {
		// The death signal is sent when the thread that forked ends, so this one
		// stays until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := v.cmd.Start()
		started <- err
		if err == nil {
			v.err = v.cmd.Wait()
			close(v.ended)
		}
	}()
	if err := <-started; err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			err = fmt.Errorf("%w; install qemu-system-x86 (ci/install vm does it)", err)
		}
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	return v, nil
}

// PID is that of QEMU.
func (v *VM) PID() int { return v.cmd.Process.Pid }

// Ended is closed once QEMU is gone.
func (v *VM) Ended() <-chan struct{} { return v.ended }

// Said is the end of what QEMU printed, on one line.
func (v *VM) Said() string { return v.said.line() }

// Err says how QEMU ended: nil while it runs and after an orderly end.
func (v *VM) Err() error {
	select {
	case <-v.ended:
	default:
		return nil
	}
	if v.err == nil {
		return nil
	}
	return fmt.Errorf("QEMU ended: %w: %s", v.err, v.Said())
}

// Close kills QEMU and waits until it is gone.
func (v *VM) Close() error {
	select {
	case <-v.ended:
		return nil
	default:
	}
	if err := v.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill QEMU: %w", err)
	}
	<-v.ended
	return nil
}

// control is what a console says to a terminal, not to a reader.
var control = regexp.MustCompile(`\x1b(c|\[[0-9;?=]*[A-Za-z])|\r`)

// Plain is what a console has said, for a report.
func Plain(console string) string { return control.ReplaceAllString(console, "") }

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 1024

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	t.buf = t.buf[max(0, len(t.buf)-tailSize):]
	return len(p), nil
}

func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(bytes.TrimSpace(t.buf)) == 0 {
		return "it said nothing"
	}
	return strings.Join(strings.Fields(string(t.buf)), " ")
}
