package keep

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Program says what to keep running.
type Program struct {
	Name  string // in logs
	Argv  []string
	Env   []string
	Out   io.Writer                          // its stdout and stderr
	Began func(p *os.Process)                // nil: nobody wants to know
	Ended func(why string, in time.Duration) // why a run ended, and when the next begins
	Grace time.Duration                      // between TERM and KILL when ctx ends
	Log   *slog.Logger
}

// Run keeps the program running until ctx ends; then it ends it, TERM first.
// The program's own children are left alone: the next run may adopt them.
func (p *Program) Run(ctx context.Context) {
	var rule Rule
	for ctx.Err() == nil {
		began := time.Now()
		why := p.once(ctx)
		if ctx.Err() != nil {
			return
		}
		rule = rule.Ended(time.Since(began))
		p.Log.Error("it has ended and is started again", "program", p.Name, "why", why, "in", rule.Pause, "restarts", rule.Restarts)
		if p.Ended != nil {
			p.Ended(why, rule.Pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rule.Pause):
		}
	}
}

// once runs it once, and says why it ended.
func (p *Program) once(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, p.Argv[0], p.Argv[1:]...)
	cmd.Env, cmd.Dir = p.Env, "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = p.Grace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r, w, err := os.Pipe() // not cmd.Stdout: grandchildren hold the pipe too, and Wait would wait for them (T17)
	if err != nil {
		return err.Error()
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	go func() {
		defer r.Close()
		_, _ = io.Copy(p.Out, r)
	}()
	if err != nil {
		return fmt.Sprintf("cannot be started: %v", err)
	}
	p.Log.Debug("started", "program", p.Name, "pid", cmd.Process.Pid)
	if p.Began != nil {
		p.Began(cmd.Process)
	}
	if err := cmd.Wait(); err != nil {
		return err.Error()
	}
	return "it ended by itself with code 0"
}
