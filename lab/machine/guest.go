package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/g8os/g8os/core/guest"
)

// guestName is the first argument that makes a program that imports this
// package run a command in a virtual machine, and end as it did.
const guestName = "g8lab-guest"

// codeNotRun is the exit code when the command could not be run at all.
const codeNotRun = 255

// GuestCommand is a command of the host that runs one inside a virtual machine,
// by the socket Relay.Exec: its input, output and exit code (128+n after signal
// n) are those of the command inside. With tty that gets a terminal.
func GuestCommand(socket string, argv []string, tty bool) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	kind := "pipes"
	if tty {
		kind = "terminal"
	}
	return exec.Command(exe, append([]string{guestName, socket, kind}, argv...)...), nil
}

func init() {
	if len(os.Args) < 5 || os.Args[1] != guestName {
		return
	}
	code, err := runInGuest(os.Args[2], os.Args[3] == "terminal", os.Args[4:])
	if err != nil {
		code = codeNotRun
		if remote, ok := errors.AsType[*guest.RemoteError](err); ok && remote.Status != 0 {
			err, code = errors.New(remote.Text), remote.Status
		}
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func runInGuest(socket string, tty bool, argv []string) (int, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0, fmt.Errorf("guest channel: %w (has the node power?)", err)
	}
	command := guest.Command{Argv: argv}
	stdio := guest.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stdio.Signals = signals(cancel)
	if in := int(os.Stdin.Fd()); tty && term.IsTerminal(in) {
		was, err := term.MakeRaw(in)
		if err != nil {
			return 0, fmt.Errorf("raw terminal: %w", err)
		}
		defer func() { _ = term.Restore(in, was) }()
		size := sizeOf(in)
		command.TTY, command.Env = &size, []string{"TERM=" + os.Getenv("TERM")}
		stdio.Resize = resizes(in)
	}
	exit, err := guest.Exec(ctx, c, command, stdio)
	return exit.Status(), err
}

// parting is how long a command in the guest may take to end once its caller
// was told to: a guest that stands still must not hold him.
const parting = 5 * time.Second

// signals are those for the command; after one that is to end it, leave.
func signals(leave func()) <-chan os.Signal {
	caught, passed := make(chan os.Signal, 4), make(chan os.Signal, 4)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range caught {
			if s != syscall.SIGINT {
				time.AfterFunc(parting, leave)
			}
			passed <- s
		}
	}()
	return passed
}

func sizeOf(fd int) guest.Size {
	cols, rows, err := term.GetSize(fd)
	if err != nil {
		return guest.Size{Rows: 24, Cols: 80}
	}
	return guest.Size{Rows: uint16(rows), Cols: uint16(cols)}
}

// resizes tells of every change of a terminal's size.
func resizes(fd int) <-chan guest.Size {
	changed, sizes := make(chan os.Signal, 1), make(chan guest.Size, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for range changed {
			sizes <- sizeOf(fd)
		}
	}()
	return sizes
}
