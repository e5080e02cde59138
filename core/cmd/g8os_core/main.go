// Command g8os_core is what runs on a node: the daemon, and the local commands
// that ask it how it is. Started by the kernel as /init it is PID 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/g8os/g8os/core/bootlog"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/pid1"
	"github.com/g8os/g8os/core/services/program"
	"github.com/g8os/g8os/core/upgrade"
	"github.com/g8os/g8os/core/version"
)

type cli struct {
	Socket string `help:"Socket of the running g8os_core." default:"${socket}" type:"path"`

	Run     runCmd     `cmd:"" help:"Bring this machine from power-on to managed, and keep it so."`
	Status  statusCmd  `cmd:"" help:"Show phase, what the node waits for and since when, addresses, controller."`
	Wait    waitCmd    `cmd:"" help:"Wait until the node has reached a phase. Exit code 1 when it has not in time."`
	Net     netCmd     `cmd:"" help:"Check net.toml without applying it."`
	Reload  reloadCmd  `cmd:"" help:"Have net.toml read again now."`
	Recover recoverCmd `cmd:"" help:"Open the private volume with the operator's recovery key, without an AC."`
	Release releaseCmd `cmd:"" help:"End what a g8os_core that was stopped has left running: jobs, services, sshd, and the private volume. Login sessions and interfaces stay."`

	Services servicesCmd `cmd:"" help:"List, start, stop or restart services, print their logs, or check a declaration."`
	Logs     logsCmd     `cmd:"" help:"Print what a service wrote."`

	Facts   factsCmd   `cmd:"" help:"Show what this machine is: hardware, kernel, disks, networks, versions."`
	Top     topCmd     `cmd:"" help:"Show what uses this machine."`
	Restart restartCmd `cmd:"" help:"Have the running g8os_core start again in place: same process, same jobs and services."`
	Guard   guardCmd   `cmd:"" hidden:""`

	Log      logCmd      `cmd:"" help:"Print the log of this boot, or of an earlier one."`
	Poweroff poweroffCmd `cmd:"" help:"Switch the machine off, in order."`
	Reboot   rebootCmd   `cmd:"" help:"Reboot the machine, in order."`
	Halt     haltCmd     `cmd:"" help:"Stop the machine, in order, and leave it on."`

	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() {
	if pid1.Is(os.Getpid(), os.Args[0]) {
		pid1.Main()
	}
	if os.Getpid() == 1 && len(os.Args) == 2 && os.Args[1] == pid1.Rehearsal { // not for people either
		pid1.Rehearse()
	}
	if len(os.Args) > 1 && os.Args[1] == program.Within { // not for people, and in a hurry
		fmt.Fprintln(os.Stderr, "g8os_core:", program.RunWithin(os.Args[2:]))
		os.Exit(126)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "g8os_core:", err)
		os.Exit(code(err))
	}
}

func code(err error) int {
	var c interface{ ExitCode() int }
	if errors.As(err, &c) {
		return c.ExitCode()
	}
	return 1
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (usageError) ExitCode() int { return 2 }

func run(ctx context.Context, args []string, out, errw io.Writer) error {
	var c cli
	parser, err := kong.New(&c, kong.Name("g8os_core"),
		kong.Description("The node's side of G8OS. Exit codes: 0 done, 1 not (yet), 2 wrong usage."),
		kong.Vars{"socket": local.Socket, "upgrades": upgrade.Dir, "logs": bootlog.Dir, "oldest": strconv.Itoa(bootlog.Oldest)}, kong.Writers(out, errw), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(out, (*io.Writer)(nil)))
	if err != nil {
		return err
	}
	k, err := parser.Parse(args)
	if err != nil {
		return usageError{err}
	}
	words := strings.Fields(k.Command())
	k.Bind(verb(words[min(1, len(words)-1)]))
	return k.Run(&c, slog.New(slog.NewTextHandler(errw, nil)))
}

type versionCmd struct {
	Output string `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

func (v versionCmd) Run(out io.Writer) error {
	if v.Output == "json" {
		return json.NewEncoder(out).Encode(upgrade.Self())
	}
	_, err := fmt.Fprintf(out, "g8os_core %s, built from a source of %s\n", version.Version(), version.Built().UTC().Format("2006-01-02"))
	return err
}
