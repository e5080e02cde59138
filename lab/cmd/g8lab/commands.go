package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
)

type downCmd struct {
	All      bool   `help:"Every lab of this machine."`
	KeepLogs string `type:"path" placeholder:"DIR" help:"Copy the logs there first."`
}

func (d *downCmd) Run(ctx context.Context, c *cli, std streams) error {
	if os.Geteuid() != 0 {
		return errors.New("taking a lab down takes root; run it as root (sudo)")
	}
	names := []string{c.Lab}
	if d.All {
		var err error
		if names, err = lab.List(); err != nil {
			return err
		}
	}
	var failed []error
	for _, name := range names {
		begun, there := time.Now(), lab.Exists(name)
		if err := lab.Down(ctx, name, lab.DownOptions{KeepLogs: d.KeepLogs}); err != nil {
			failed = append(failed, err)
			continue
		}
		if !there {
			fmt.Fprintf(std.out, "lab %s was not up, nothing of it is there\n", name)
			continue
		}
		fmt.Fprintf(std.out, "lab %s is down (%.1f s)\n", name, time.Since(begun).Seconds())
	}
	return errors.Join(failed...)
}

type listCmd struct{}

func (listCmd) Run(std streams) error {
	names, err := lab.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		what := "in pieces; g8lab down --lab " + name + " removes them"
		if l, err := lab.Open(name, nil); err == nil {
			what = describe(l)
		}
		fmt.Fprintf(std.out, "%-15s  %s\n", name, what)
	}
	return nil
}

// describe says on one line what there is of a lab.
func describe(l *lab.Lab) string {
	all, on := len(l.Nodes()), l.Powered()
	if on < all {
		return fmt.Sprintf("%d of %d nodes%s have power; up again completes it, g8lab down --lab %s removes it", on, all, madeOf(l), l.Name())
	}
	return fmt.Sprintf("%d nodes%s, AC at %s", all, madeOf(l), l.ACs()[0].URL())
}

// madeOf says which of a lab's nodes are machines.
func madeOf(l *lab.Lab) string {
	machines := 0
	for _, n := range l.Nodes() {
		if n.Plan().Fidelity == topology.Virtual {
			machines++
		}
	}
	switch machines {
	case 0:
		return ""
	case len(l.Nodes()):
		return " (vm)"
	}
	return fmt.Sprintf(" (%d vm)", machines)
}

type execCmd struct {
	Node    string   `arg:"" help:"Name of the node."`
	Command []string `arg:"" passthrough:"all" help:"-- COMMAND ARGUMENT…"`
}

func (e *execCmd) Run(ctx context.Context, c *cli, std streams) error {
	argv := afterDashes(e.Command)
	if len(argv) == 0 {
		return exitError{exitUsage, errors.New("no command; g8lab exec NODE -- COMMAND…")}
	}
	n, err := c.awake(ctx, e.Node)
	if err != nil {
		return exitError{exitNotRun, err}
	}
	enter := n.Enter
	if out, ok := std.out.(*os.File); ok && isTerminal(std.in) && isTerminal(out) {
		enter = n.EnterTerminal
	}
	return attend(std, func(prepare func(*exec.Cmd)) (*exec.Cmd, error) { return enter(argv, prepare) })
}

// awake returns a node that can be spoken to: one that stands still would not
// answer, and a command in it not end.
func (c *cli) awake(ctx context.Context, name string) (*lab.Node, error) {
	n, err := c.node(name)
	if err == nil && n.Paused(ctx) {
		err = fmt.Errorf("node %s is paused; %s lets it go on", name, say(c, "power "+name+" resume"))
	}
	return n, err
}

type sshCmd struct {
	Node    string   `arg:"" help:"Name of the node."`
	Command []string `arg:"" optional:"" passthrough:"all" help:"-- COMMAND ARGUMENT…; none: a shell."`
}

func (s *sshCmd) Run(ctx context.Context, c *cli, std streams) error {
	n, err := c.awake(ctx, s.Node)
	if err != nil {
		return exitError{exitNotRun, err}
	}
	return attend(std, func(prepare func(*exec.Cmd)) (*exec.Cmd, error) {
		return n.SSH(ctx, afterDashes(s.Command), prepare)
	})
}

func afterDashes(argv []string) []string {
	if len(argv) > 0 && argv[0] == "--" {
		return argv[1:]
	}
	return argv
}

// attend runs a command in the foreground and passes its exit code on. On a
// terminal it gets the terminal, and with it Ctrl-C.
func attend(std streams, start func(func(*exec.Cmd)) (*exec.Cmd, error)) error {
	tty := isTerminal(std.in)
	signal.Ignore(syscall.SIGTTOU, syscall.SIGTTIN) // while the terminal is not ours
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(caught)
	cmd, err := start(func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.err
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if tty {
			cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, int(std.in.Fd())
		}
	})
	if err != nil {
		return notRun(err)
	}
	go func() {
		for s := range caught {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	if tty {
		_ = unix.IoctlSetPointerInt(int(std.in.Fd()), unix.TIOCSPGRP, unix.Getpgrp())
	}
	if code := lab.ExitCode(cmd.ProcessState); code != 0 {
		return exitCode(code)
	}
	return err
}

// notRun gives the exit code a shell gives when a command cannot be run.
func notRun(err error) error {
	failed, execve := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, machine.ErrNoProgram), execve && errors.Is(failed, fs.ErrNotExist):
		return exitError{exitNotFound, err}
	case execve:
		return exitError{exitNotExecuted, err}
	}
	return exitError{exitNotRun, err}
}

type logsCmd struct {
	Name   string `arg:"" help:"Name of a node, ac, or the file name of a log."`
	Follow bool   `short:"f" help:"Go on with what is added, until Ctrl-C."`
}

func (g *logsCmd) Run(ctx context.Context, c *cli, std streams) error {
	l, err := c.open()
	if err != nil {
		return err
	}
	path, err := l.Log(g.Name)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("log of %s: %s: nothing was written yet", g.Name, path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if _, err := io.Copy(std.out, f); err != nil || !g.Follow {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

type captureCmd struct {
	Target string        `arg:"" help:"A node, the AC, or a segment."`
	Write  string        `short:"w" required:"" placeholder:"FILE" help:"Where to (pcap); - is stdout."`
	Count  int           `short:"c" default:"1000000" help:"End after so many packets; 0: never (${default})."`
	For    time.Duration `default:"10m" help:"End after this time; 0: never (${default})."`
	Filter string        `help:"Only these packets, as tcpdump has it: 'arp', 'port 8966'."`
}

func (p *captureCmd) Run(ctx context.Context, c *cli, std streams) (err error) {
	l, err := c.open()
	if err != nil {
		return err
	}
	if err := l.CanCapture(p.Target); err != nil { // before the file is touched
		return err
	}
	w := std.out
	if p.Write != "-" {
		f, err := os.Create(p.Write)
		if err != nil {
			return fmt.Errorf("capture: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w = f
	}
	n, err := l.Capture(ctx, p.Target, w, lab.CaptureOptions{Packets: p.Count, For: p.For, Filter: p.Filter, Began: func() {
		fmt.Fprintf(std.err, "capturing on %s, Ctrl-C ends it\n", p.Target)
	}})
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%d packets captured\n", n)
	return nil
}
