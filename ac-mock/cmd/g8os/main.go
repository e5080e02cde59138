// Command g8os is the operator's command line: it shows and changes what the
// grid's AC knows, and runs commands on nodes.
//
// It promises that every table can be had as JSON (-o json), that output meant
// for programs is on stdout and everything else on stderr, and that its exit
// status says what happened (see exitCodes). It holds no state; where the AC is
// and who the operator is stands in a context file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/g8os/g8os/ac-mock/client"
)

const description = `Shows and changes what the grid's AC knows, and runs commands on nodes.

A context says where the AC is and who you are. It is a TOML file: --context
NAME or FILE, else $G8OS_CONTEXT, else "default", else the only one there is;
looked for in ~/.config/g8os and /run/g8os/contexts (where the lab puts its own).

NODE is a node's id, MAC address or host name.

Exit status: 0 done; 1 the AC did not do it; 2 wrong usage; 3 no usable context,
or no AC could be reached; 130 interrupted. "exec", "run" and "shell" exit as the
command did (see there).

  g8os nodes --watch
  g8os exec office-1 -- uname -a
  g8os exec --role web --queue 24h -- apt-get -y upgrade
  g8os run setup.sh --all
  g8os job list
  g8os shell office-1
  g8os cp -r site/ office-1:/srv/www
  g8os node approve office-1
  g8os top --watch
  g8os fault arm outage --for 1m
  g8os audit --node office-1
  g8os token create --for 10m --uses 1
  g8os operator add bob --role operator`

// Exit codes beside those of commands that were run.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreached   = 3
	exitNotRun      = 255
	exitInterrupted = 130
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup(1)
		ends = append(ends, syscall.SIGHUP) // who closes his terminal has stopped what he ran
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	env := environment{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	os.Exit(run(ctx, os.Args[1:], env)) //nolint:gocritic // nothing is left to be undone
}

// environment is what a command may touch of the world.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

type cli struct {
	Context string `help:"Context to use: a name, or a file." placeholder:"NAME"`

	Nodes    nodesCmd    `cmd:"" help:"List the nodes."`
	Node     nodeCmd     `cmd:"" help:"Show or change one node."`
	Exec     execCmd     `cmd:"" help:"Run a command on a node, or on many; output comes live, the exit status is ours."`
	Run      runCmd      `cmd:"" help:"Run a script of this machine on a node, or on many."`
	Job      jobCmd      `cmd:"" help:"What was run on nodes: list, show, logs, cancel, retry."`
	Schedule scheduleCmd `cmd:"" help:"What is run on nodes again and again."`
	Shell    shellCmd    `cmd:"" help:"Open a shell on a node, or run a program there with a terminal."`
	Forward  forwardCmd  `cmd:"" help:"Forward ports of this machine to where a node can connect."`
	Cp       cpCmd       `cmd:"" help:"Copy files and folders to or from a node."`
	Facts    factsCmd    `cmd:"" help:"What a node is: hardware, kernel, disks, networks, versions."`
	Top      topCmd      `cmd:"" help:"What uses the nodes, or one node."`
	Events   eventsCmd   `cmd:"" help:"What nodes noticed: alarms, services that fail, warnings of programs."`
	Service  serviceCmd  `cmd:"" help:"Services of a node: list, start, stop, restart, logs, declare, remove."`
	Audit    auditCmd    `cmd:"" help:"List or verify what was decided about keys, certificates and nodes, and why."`
	Token    tokenCmd    `cmd:"" help:"Join tokens: approve machines in advance."`
	Operator operatorCmd `cmd:"" help:"Who may operate the grid, and as what."`
	Grace    graceCmd    `cmd:"" help:"Let nodes unlock without an AC for a while, or not."`
	Recovery recoveryCmd `cmd:"" help:"Recovery keys: open a node's volume without an AC."`
	Rotate   rotateCmd   `cmd:"" help:"Replace keys: add, prove, remove (ac-mock/ROTATION.md)."`
	Upgrade  upgradeCmd  `cmd:"" help:"Bring a new g8os_core to nodes: canaries first, back by itself (ac-mock/UPGRADE.md)."`
	Fault    faultCmd    `cmd:"" help:"Make the AC misbehave (if it was started with faults)."`
	Backup   backupCmd   `cmd:"" help:"Write all that the ACs know into a file, sealed."`
	Restore  restoreCmd  `cmd:"" help:"Fill the empty store of an AC on this machine from a backup."`
	AC       acCmd       `cmd:"" name:"ac" help:"Show, add, remove or drain the grid's ACs."`
	Metrics  metricsCmd  `cmd:"" help:"Print the AC's metrics, as Prometheus scrapes them (ac-mock/METRICS.md)."`
	Support  supportCmd  `cmd:"" name:"support-bundle" help:"Write what an AC knows of itself into a file, to be sent to somebody who helps; no secret is in it."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// session is what every command gets.
type session struct {
	environment
	ctx     context.Context
	context string
	command string // the last word of the command
	tail    int    // how many words stand after --; -1: there is no --
}

// dial makes the client of the chosen context.
func (s *session) dial() (*client.Client, error) {
	c, err := client.Find(s.context, s.getenv)
	if err != nil {
		return nil, err
	}
	return client.New(c)
}

// exitError is an error with an exit status of its own.
type exitError struct {
	code int
	err  error // nil: nothing more to say
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// run is the program: arguments in, exit status out.
func run(ctx context.Context, args []string, env environment) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("g8os"), kong.Description(description),
		kong.Writers(env.stdout, env.stderr), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(env.stderr, "g8os:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "g8os: %v (g8os --help)\n", err)
		return exitUsage
	}
	err = parsed.Run(&session{environment: env, ctx: ctx, context: c.Context, command: command(parsed.Command()), tail: tail(args)})
	return report(ctx, env.stderr, err)
}

func tail(args []string) int {
	if at := slices.Index(args, "--"); at >= 0 {
		return len(args) - at - 1
	}
	return -1
}

// report says what went wrong and what to do, in one line each.
func report(ctx context.Context, stderr io.Writer, err error) int {
	code, own := exitFailed, exitError{}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		code = own.code
		if own.err == nil {
			return code
		}
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, client.ErrContext), errors.Is(err, client.ErrUnreachable):
		code = exitUnreached
	}
	fmt.Fprintln(stderr, "g8os:", oneLine(err.Error()))
	if remedy := client.Remedy(err); remedy != "" {
		fmt.Fprintln(stderr, "      →", remedy)
	}
	return code
}
