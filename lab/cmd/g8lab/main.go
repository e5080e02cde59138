// Command g8lab brings a grid in a box up, shows it, and takes it down.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/g8os/g8os/core/version"
	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/actor/command"
)

type cli struct {
	Lab string `default:"default" env:"G8LAB" placeholder:"NAME" help:"Which lab; several live side by side (default: ${default})."`

	Up      upCmd         `cmd:"" help:"Bring a lab up, wait until every node is managed, and show it. Completes one that is up."`
	Status  statusCmd     `cmd:"" help:"Show every node: phase, way, address, controller."`
	Down    downCmd       `cmd:"" help:"Take a lab away, whatever state it is in; nothing is left."`
	List    listCmd       `cmd:"" help:"List the labs there are."`
	Doctor  doctorCmd     `cmd:"" help:"Say what this machine can do for a lab, each line proved by doing it."`
	Exec    execCmd       `cmd:"" help:"Run a command inside a node. Its exit code is passed on."`
	SSH     sshCmd        `cmd:"" name:"ssh" help:"Log in on a node by ssh, over the lab's own network."`
	Console consoleCmd    `cmd:"" help:"Sit at the serial console of a VM node; ^] leaves."`
	Power   powerCmd      `cmd:"" help:"Switch a node on or off, reset, pause or resume it."`
	NIC     nicCmd        `cmd:"" name:"nic" help:"Pull a node's cable out, or take the whole NIC out, and put it back."`
	Fault   faultCmd      `cmd:"" help:"Make something go wrong, list what does, and heal it."`
	Chaos   chaosCmd      `cmd:"" help:"Run a named plan of faults on a running lab, check what must hold, record it."`
	Sim     simCmd        `cmd:"" help:"Run a grid in simulated time, with faults or without, or one grid a seed; the first that fails is made small."`
	Replay  replayCmd     `cmd:"" help:"Run a recorded run again: a simulated one exactly, another by its schedule, on a lab of its own."`
	Report  reportCmd     `cmd:"" help:"Make one HTML page of a recorded run."`
	Keeper  keeperCmd     `cmd:"" hidden:"" help:"End faults when their time is over; started by fault add --for."`
	Logs    logsCmd       `cmd:"" help:"Show the log of a node or an AC."`
	Capture captureCmd    `cmd:"" help:"Write the packets of a node or a segment to a file (pcap)."`
	Actor   command.Actor `cmd:"" help:"Be another party on a segment; run inside a host of the lab."`
	Version versionCmd    `cmd:"" help:"Print the version."`
}

// streams are where a command reads and writes.
type streams struct {
	in       *os.File
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(report(os.Stderr, err))
}

func run(ctx context.Context, args []string, std streams) error {
	var c cli
	parser, err := kong.New(&c, kong.Name("g8lab"),
		kong.Description(description),
		kong.Vars(command.Vars()), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(std), kong.Writers(std.out, std.err),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return err
	}
	k, err := parser.Parse(args)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("%w; g8lab --help explains", err)}
	}
	return k.Run(&c)
}

// open returns the lab that is meant. What its machines are asked, root asks:
// to anybody else they would all look dead.
func (c *cli) open() (*lab.Lab, error) {
	l, err := lab.Open(c.Lab, nil)
	if err == nil && os.Geteuid() != 0 {
		return nil, fmt.Errorf("lab %s is root's; run it as root (sudo)", c.Lab)
	}
	return l, err
}

// node returns a node of the lab that is meant.
func (c *cli) node(name string) (*lab.Node, error) {
	l, err := c.open()
	if err != nil {
		return nil, err
	}
	return l.FindNode(name)
}

type versionCmd struct{}

func (versionCmd) Run(std streams) error {
	_, err := fmt.Fprintln(std.out, "g8lab", version.Version())
	return err
}
