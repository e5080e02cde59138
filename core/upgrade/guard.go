package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/upgrade/trial"
)

// GuardCommand is the word by which g8os_core is a guard.
const GuardCommand = "guard"

// Charge is what a guard is told.
type Charge struct {
	Store  Store         `json:"store"`
	ID     string        `json:"id"`   // of the upgrade
	Core   process.ID    `json:"core"` // the process that becomes the new binary
	Within time.Duration `json:"within"`
	Socket string        `json:"socket"`
	Path   string        `json:"path"` // of the built-in binary
	Args   []string      `json:"args"` // with which g8os_core was started
}

// StartGuard starts a guard over this process: this binary, in a session of its
// own, with our output.
func StartGuard(c Charge) error {
	id, err := process.Identify(os.Getpid())
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	c.Core, c.Args = id, os.Args
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	cmd := exec.Command(self, GuardCommand, string(text))
	cmd.Stdout, cmd.Stderr, cmd.Dir = os.Stdout, os.Stderr, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	go func() { _ = cmd.Wait() }() // it may outlive us: then who we become reaps it
	return nil
}

// guardEvery is how often a guard looks.
const guardEvery = 250 * time.Millisecond

// Guard watches over a trial until it is over, and acts when the new binary
// cannot. It does not return when it has to be g8os_core itself.
func (c Charge) Guard(ctx context.Context, log *slog.Logger) error {
	g := trial.NewGuard(c.Within, time.Now())
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		act, why := g.Step(c.see(), time.Now())
		switch act {
		case trial.RollBack:
			log.Error("the new g8os_core is taken back", "upgrade", c.ID, "why", why)
			if err := c.Store.RollBack(c.ID, why); err != nil {
				log.Error("not taken back", "error", err)
			}
		case trial.Kill:
			if c.Core.Alive() {
				_ = syscall.Kill(c.Core.PID, syscall.SIGKILL)
			}
		case trial.TakeOver:
			log.Warn("nobody starts g8os_core again: its guard becomes it")
			return c.become()
		case trial.Leave:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (c Charge) see() trial.Seen {
	r, err := c.Store.Read()
	seen := trial.Seen{Trial: err == nil && r.Trial != nil && r.Trial.ID == c.ID, Alive: c.Core.Alive()}
	if !seen.Trial {
		if conn, err := net.Dial("unix", c.Socket); err == nil {
			seen.Answers = true
			_ = conn.Close()
		}
	}
	return seen
}

func (c Charge) become() error {
	if err := os.Unsetenv(builtInVar); err != nil {
		return err
	}
	if err := syscall.Exec(c.Path, c.Args, os.Environ()); err != nil {
		return fmt.Errorf("execute %s: %w", c.Path, err)
	}
	return nil
}
