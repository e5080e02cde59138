package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type shellCmd struct {
	User       string            `short:"u" help:"As whom: a name or a number; root if not given." placeholder:"NAME"`
	Env        map[string]string `short:"e" help:"Set a variable." placeholder:"NAME=VALUE" mapsep:"none"`
	NoTerminal bool              `short:"T" help:"Without a terminal there, also if there is one here."`
	Node       string            `arg:"" help:"Id, MAC or host name."`
	Command    []string          `arg:"" optional:"" passthrough:"" help:"What to run instead of the login shell, after --."`
}

func (shellCmd) Help() string {
	return `At the beginning of a line, ~. leaves (the program is hung up) and ~~ types a ~.
Where no terminal is here, there is none there: input and output are bytes, as with ssh -T.
When the connection is lost, the program is hung up, and killed if it does not end.
Exit status: that of the program; 128+N after signal N; 127 no such program; 126 it cannot
be run; 255 it could not be started, or nobody knows how it ended.

  g8os shell office-1
  g8os shell office-1 -- htop
  g8os shell -u nobody office-1 -- id
  tar -c . | g8os shell office-1 -- tar -x -C /srv`
}

// errLeft ends a shell that the user has left.
var errLeft = errors.New("left")

func (c *shellCmd) Run(s *session) error {
	argv := c.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	cl, err := s.dial()
	if err != nil {
		return exitError{exitNotRun, err}
	}
	defer cl.Close()
	open := api.ChannelOpen{Kind: api.ChannelShell, Argv: argv, Env: c.Env, User: c.User}
	tty := terminal(s.stdin)
	if c.NoTerminal {
		tty = nil
	}
	if tty != nil {
		if open.Term = s.getenv("TERM"); open.Term == "" {
			open.Term = "xterm"
		}
		open.Size = sizeOf(tty)
	}
	end, err := c.talk(s, cl, open, tty)
	switch {
	case errors.Is(err, errLeft):
		return exitError{exitNotRun, errors.New("left; the program there is hung up")}
	case s.ctx.Err() != nil:
		return exitError{exitInterrupted, errors.New("interrupted; the program there is hung up")}
	case errors.Is(err, client.ErrChannel):
		return exitError{max(end.Code, exitFailed), err}
	case err != nil:
		return exitError{exitNotRun, err}
	case end.Code != 0:
		return exitError{code: end.Code}
	}
	return nil
}

// talk opens the shell and carries bytes until it ends. The terminal is as it
// was when talk returns.
func (c *shellCmd) talk(s *session, cl *client.Client, open api.ChannelOpen, tty *os.File) (api.ChannelEnd, error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	ch, _, err := cl.Channel(ctx, c.Node, open)
	if err != nil {
		return endOf(err), err
	}
	defer ch.Leave()
	if tty != nil {
		before, err := term.MakeRaw(int(tty.Fd()))
		if err != nil {
			return api.ChannelEnd{}, err
		}
		defer func() { _ = term.Restore(int(tty.Fd()), before) }()
		go followSize(ctx, ch, tty)
	}
	go func() {
		if typed(ch, s.stdin, tty != nil) {
			cancel(errLeft)
		}
	}()
	end, err := ch.Copy(ctx, s.stdout, s.stderr, nil)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errLeft) {
		err = cause
	}
	return end, err
}

// endOf is what the node said, if err is that.
func endOf(err error) api.ChannelEnd {
	if e, ok := errors.AsType[*client.Ended](err); ok {
		return e.ChannelEnd
	}
	return api.ChannelEnd{}
}

// typed sends input until its end, and says whether the user leaves.
func typed(ch *client.Channel, from io.Reader, escapes bool) (leaves bool) {
	var e escape
	buf := make([]byte, api.ChannelChunk)
	for {
		n, err := from.Read(buf)
		in := buf[:n]
		if escapes {
			in, leaves = e.pass(in)
		}
		if ch.Send(api.ChannelFrame{Kind: api.FrameData, Data: in}) != nil || leaves {
			return leaves
		}
		if err != nil {
			_ = ch.Send(api.ChannelFrame{Kind: api.FrameEOF})
			return false
		}
	}
}

// terminal is the terminal that a reader is; nil: it is none.
func terminal(r io.Reader) *os.File {
	if f, ok := r.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

func sizeOf(tty *os.File) api.ChannelSize {
	cols, rows, err := term.GetSize(int(tty.Fd()))
	if err != nil {
		return api.ChannelSize{}
	}
	return api.ChannelSize{Rows: uint16(rows), Cols: uint16(cols)}
}

func followSize(ctx context.Context, ch *client.Channel, tty *os.File) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			_ = ch.SendJSON(api.FrameResize, sizeOf(tty))
		}
	}
}
