package ssh

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
)

// daemon is sshd as a supervisor takes it.
type daemon struct{ s *Server }

var _ runtime.Runtime = daemon{}

// spec is the process, without what Start alone needs.
func (d daemon) spec() process.Spec {
	o := d.s.o
	return process.Spec{Name: Name, RunDir: o.RunDir, Log: o.Log,
		Args: []string{"-D", "-e", "-f", o.path(configFile), "-o", "PidFile=none"},
		Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
}

// Start prepares the files, and starts sshd if none runs.
func (d daemon) Start(context.Context) (runtime.Instance, error) {
	i, err := d.start()
	if err != nil {
		d.s.set(false, err)
		return nil, err
	}
	return i, nil
}

func (d daemon) start() (runtime.Instance, error) {
	sshd, err := binary(d.s.o)
	if err != nil {
		return nil, err
	}
	if err := prepare(d.s.o, sshd); err != nil {
		return nil, err
	}
	if i, err := d.Adopt(); !errors.Is(err, runtime.ErrNotRunning) { // nobody remembered it
		return i, err
	}
	listen, ours, err := addresses(d.s.o, sshd)
	if err != nil {
		return nil, err
	}
	for _, address := range listen {
		if err := free(address); err != nil {
			return nil, err
		}
	}
	spec := d.spec()
	spec.Path = sshd
	p, err := process.Start(spec)
	if err != nil {
		return nil, err
	}
	i := d.s.has(p)
	i.says = ours
	return i, nil
}

// Adopt takes over the sshd of an earlier core.
func (d daemon) Adopt() (runtime.Instance, error) {
	p, err := process.Adopt(d.spec())
	switch {
	case errors.Is(err, process.ErrNotRunning):
		return nil, fmt.Errorf("%w: %w", runtime.ErrNotRunning, err)
	case err != nil:
		return nil, err
	}
	return d.s.has(p), nil
}

func (d daemon) LastExit() order.Exit { return order.Exit{Why: "how it ended is not known"} }

func (d daemon) Logs(ctx context.Context, lines int, follow bool, write func([]byte) error) error {
	return process.Logs(ctx, d.spec(), lines, follow, write)
}

// has notes the sshd that there is.
func (s *Server) has(p *process.Process) instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sshd = p
	return instance{Process: p, s: s}
}

// instance is an sshd that runs.
type instance struct {
	*process.Process
	s    *Server
	says bool // it was started with our configuration, which has it say when it listens
}

// listening is what sshd says once it takes connections (sshd.c, at LogLevel
// INFO). To ask it for its greeting makes it start itself once more.
const listening = "Server listening on "

func (i instance) PID() int { return i.ID().PID }

// Ready returns when sshd answers.
func (i instance) Ready(ctx context.Context) error {
	err := i.answers(ctx)
	if err != nil {
		i.s.set(false, err)
	}
	return err
}

func (i instance) answers(ctx context.Context) error {
	if i.says {
		return i.Says(ctx, listening)
	}
	sshd, err := binary(i.s.o)
	if err != nil {
		return err
	}
	listen, _, err := addresses(i.s.o, sshd)
	if err != nil {
		return err
	}
	return untilAnswers(ctx, i.Process, listen)
}

func (i instance) Exit() order.Exit {
	i.s.set(false, i.Err())
	return runtime.ExitOf(i.Err())
}

// Stop ends sshd, leaving login sessions.
func (i instance) Stop() error { return i.Process.Stop(context.Background()) }

// binary is sshd with its full path: it starts itself anew for each login.
func binary(o Options) (string, error) {
	for _, name := range []string{o.Sshd, "/usr/sbin/sshd", "sshd"} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err == nil {
			return path, nil
		}
		if name == o.Sshd {
			return "", fmt.Errorf("%w: %w", ErrTool, err)
		}
	}
	return "", fmt.Errorf("%w: install the package openssh-server", ErrTool)
}
