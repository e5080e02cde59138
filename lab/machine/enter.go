package machine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Enter starts a command of the caller inside the machine: with its files,
// processes, name and network. make builds the command once inside, so that
// programs are looked up there; its files may be the caller's. The process is
// the caller's child: wait for it as usual.
func (m *Machine) Enter(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	return m.inside([]string{"net", "uts", "ipc", "pid", "mnt"}, argv, prepare)
}

// EnterNet starts a command that sees the host's files and the machine's
// network. It ends with the machine too.
func (m *Machine) EnterNet(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	return m.inside([]string{"net", "pid"}, argv, prepare)
}

// inside never gives its thread back once it has changed namespaces.
func (m *Machine) inside(namespaces, argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	type result struct {
		cmd *exec.Cmd
		err error
	}
	done := make(chan result, 1)
	go onSpareThread(func() {
		if err := m.setns(namespaces); err != nil {
			done <- result{err: err}
			return
		}
		program, err := Look(argv[0])
		if err != nil {
			done <- result{err: err}
			return
		}
		cmd := &exec.Cmd{Path: program, Args: argv, Env: []string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM")}}
		prepare(cmd)
		done <- result{cmd, cmd.Start()}
	})
	r := <-done
	if r.err != nil {
		return nil, fmt.Errorf("in machine %s: run %s: %w", m.Name, argv[0], r.err)
	}
	return r.cmd, nil
}

// onSpareThread runs f on a thread that dies afterwards. The first thread of
// the process cannot die, and /proc/self is what it sees, so it is never the
// one: while it is held here, another takes the work.
func onSpareThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	defer runtime.UnlockOSThread()
	var done sync.WaitGroup
	done.Go(func() { onSpareThread(f) })
	done.Wait()
}

// setns moves the calling thread. All descriptors are opened before the first
// move: /proc is another one afterwards.
func (m *Machine) setns(namespaces []string) error {
	var fds []int
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, ns := range namespaces {
		path := fmt.Sprintf("/proc/%d/ns/%s", m.Proc.PID, ns)
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w (has the machine lost power?)", path, err)
		}
		fds = append(fds, fd)
	}
	if !m.Proc.Alive() {
		return fmt.Errorf("the machine has no power")
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // or the mount namespace cannot be changed
		return err
	}
	for i, fd := range fds {
		if err := unix.Setns(fd, 0); err != nil {
			return fmt.Errorf("setns %s: %w", namespaces[i], err)
		}
	}
	return nil
}
