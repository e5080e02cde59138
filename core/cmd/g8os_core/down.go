package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/g8os/g8os/core/pid1/power"
)

// Exit statuses by which who has started g8os_core knows that the machine is to
// be rebooted or switched off.
const (
	exitReboot   = 85
	exitPowerOff = 86
)

// machinePower ends this machine by its PID 1, or leaves it to who has started us.
type machinePower struct{ byExit bool }

// systemd is there where it is PID 1 (sd_booted(3)).
const systemd = "/run/systemd/system"

// Can implements node.Power.
func (p *machinePower) Can(kind power.Kind) error {
	if p.byExit || power.Ours() {
		return nil
	}
	if _, err := os.Stat(systemd); err != nil {
		return fmt.Errorf("%s: PID 1 of this machine is neither g8os_core nor systemd: it has to be done by hand", kind)
	}
	return nil
}

// First implements node.Power: a PID 1 that is ours ends all in its order.
func (p *machinePower) First(kind power.Kind) (asked bool, err error) {
	if p.byExit || !power.Ours() {
		return false, nil
	}
	return true, power.Ask(kind)
}

// downGrace is how long systemd may take to end us.
const downGrace = time.Minute

// down ends what outlives g8os_core, in order, and then the machine.
func (r *runCmd) down(ctx context.Context, _ *cli, kind power.Kind, log *slog.Logger) error {
	rest := releaseCmd{Dir: r.Dir, Mount: r.Mount, RunDir: r.RunDir}
	if err := rest.end(context.WithoutCancel(ctx), log); err != nil {
		log.Warn("the machine goes down all the same", "error", err)
	}
	if r.Power == "exit" {
		return downError{kind}
	}
	verb := map[power.Kind]string{power.Reboot: "reboot", power.PowerOff: "poweroff"}[kind]
	if out, err := exec.CommandContext(context.WithoutCancel(ctx), "systemctl", "--no-block", verb).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", verb, err, out)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(downGrace):
		return errors.New("systemd has not ended g8os_core: the machine stays up")
	}
}

type downError struct{ kind power.Kind }

func (d downError) Error() string { return string(d.kind) + " is to follow" }

func (d downError) ExitCode() int {
	if d.kind == power.Reboot {
		return exitReboot
	}
	return exitPowerOff
}
