package managed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/api"
)

const (
	// killGrace is how long a job has between TERM and KILL.
	killGrace = 5 * time.Second
	// pipeGrace is how long output is read after the job itself has ended: a
	// daemon that it left behind with the pipe open must not keep it alive.
	pipeGrace = time.Second
	// chunk is the largest piece of output in one frame.
	chunk = 32 << 10
	// The exit codes of a shell for what could not be run.
	codeNotFound, codeNotRunnable, codeSignal = 127, 126, 128
)

// Why a job was stopped.
var (
	errTimeout   = errors.New("stopped: it ran longer than its timeout")
	errCancelled = errors.New("stopped: cancelled")
)

// run is one job while it runs.
type run struct {
	jobs *Jobs
	id   string
}

// execute runs the command in a process group of its own, and returns its exit
// code. The error says why it could not be run or was stopped.
func (r *run) execute(ctx context.Context, req api.ExecRequest) (int, error) {
	if req.Builtin != "" {
		return r.builtin(ctx, req)
	}
	if len(req.Argv) == 0 {
		return codeNotRunnable, errors.New("the command is empty")
	}
	ctx, cancel := limited(ctx, req.TimeoutMS)
	defer cancel()
	if st, err := os.Stat(req.Dir); req.Dir != "" && (err != nil || !st.IsDir()) { // Start would blame the program
		return codeNotRunnable, fmt.Errorf("run %q in %s: there is no such folder", req.Argv[0], req.Dir)
	}
	cmd := command(req)
	pipes := make([]*os.File, 0, 2)
	var readers sync.WaitGroup
	for _, s := range []struct {
		name string
		w    *io.Writer
	}{{"stdout", &cmd.Stdout}, {"stderr", &cmd.Stderr}} {
		pr, pw, err := os.Pipe()
		if err != nil {
			closeAll(pipes)
			return codeNotRunnable, fmt.Errorf("run %q: %w", req.Argv[0], err)
		}
		*s.w = pw
		pipes = append(pipes, pw)
		readers.Go(func() { r.forward(ctx, s.name, pr) })
		defer pr.Close()
	}
	err := cmd.Start()
	closeAll(pipes)
	if err != nil {
		return startCode(err), fmt.Errorf("run %q: %w", req.Argv[0], err)
	}
	stopped := r.supervise(ctx, cmd)
	waitUpTo(&readers, pipeGrace)
	return exitCode(cmd.ProcessState), stopped
}

// limited is ctx for a time in milliseconds; 0: no limit.
func limited(ctx context.Context, ms int64) (context.Context, context.CancelFunc) {
	if ms <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond)))*time.Millisecond)
}

func command(req api.ExecRequest) *exec.Cmd {
	cmd := exec.Command(req.Argv[0], req.Argv[1:]...)
	cmd.Dir = req.Dir
	cmd.Env = os.Environ()
	names := make([]string, 0, len(req.Env))
	for k := range req.Env {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		cmd.Env = append(cmd.Env, k+"="+req.Env[k])
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// supervise waits for the command, and stops its process group when ctx ends:
// TERM, then KILL.
func (r *run) supervise(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(killGrace):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errTimeout
	}
	return errCancelled
}

// forward hands output on as it comes. After a cancel it goes on reading, so
// that the job can end.
func (r *run) forward(ctx context.Context, stream string, from io.Reader) {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			r.jobs.say(ctx, r.id, stream, bytes.Clone(buf[:n]))
		}
		if err != nil {
			return
		}
	}
}

func startCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return codeNotFound
	}
	return codeNotRunnable
}

func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return codeSignal + int(ws.Signal())
	}
	return s.ExitCode()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func waitUpTo(wg *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}
