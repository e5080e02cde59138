package lab_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// hostEnv is set in the test binary that runs on a host of its own.
const hostEnv = "LAB_TEST_ON_OWN_HOST"

// onOwnHost runs the tests in a network and a mount namespace of their own:
// what a lab must leave alone is compared before and after, and nobody else
// may change it meanwhile.
func onOwnHost(m *testing.M) int {
	if os.Getenv(hostEnv) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "furnish the tests' host:", err)
			return 1
		}
		return m.Run()
	}
	runtime.LockOSThread() // the death signal is tied to this thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), hostEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests of the lab need root, for namespaces of their own:", err)
		return 1
	}
	return 0
}

func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("set lo up: %w: %s", err, out)
	}
	return nil
}
