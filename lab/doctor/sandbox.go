package doctor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sandboxName is argv[0] of the child that makes the checks of the network.
const sandboxName = "g8lab-doctor"

// scratch is where the child keeps its files: a tmpfs of its own.
const scratch = "/run/g8doctor"

func init() {
	if os.Args[0] != sandboxName {
		return
	}
	if err := sandbox(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// network runs the checks of the sandbox in a child that is the first process
// of its namespaces: when it ends, or this process, all of it is gone.
func network(ctx context.Context, tell func(Result)) error {
	if os.Geteuid() != 0 {
		return errors.New("doctor makes namespaces, mounts and interfaces, which takes root; run it as root (sudo)")
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{sandboxName}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, Setsid: true,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the death signal is that of the thread that forked
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		tell(Result{Name: "namespaces", State: Broken, Found: fmt.Sprintf("cannot be made: %v", err),
			Remedy: "run on a stock Debian kernel; in a container it takes --privileged"})
		return nil
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var r Result
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			tell(r)
		}
	}
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the checks of the network ended early: %w", err)
	}
	return ctx.Err()
}

// sandbox is the life of the child.
func sandbox() error {
	if os.Getpid() != 1 {
		return errors.New("is the child of g8lab doctor, started by it only")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return err
	}
	say := json.NewEncoder(os.Stdout)
	s := &site{}
	for _, c := range s.checks() {
		if err := say.Encode(c.run(context.Background())); err != nil {
			return err
		}
	}
	return nil
}
