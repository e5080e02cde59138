package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type execCmd struct {
	Timeout time.Duration     `help:"Stop the command after this time, for example 30s."`
	Env     map[string]string `short:"e" help:"Set a variable for the command." placeholder:"NAME=VALUE" mapsep:"none"`
	Dir     string            `short:"C" help:"Run it in this folder."`
	Keep    bool              `help:"When interrupted, let the command go on."`
	Node    string            `arg:"" help:"Id, MAC or host name."`
	Command []string          `arg:"" passthrough:"" help:"Command and arguments, after --."`
}

func (execCmd) Help() string {
	return `The command gets no input and no terminal (for those: ssh). Ctrl-C stops it.
Exit status: that of the command; 128+N after signal N; 127 no such program; 126 it cannot be run;
255 the command could not be handed over, or nobody knows how it ended.

  g8os exec office-1 -- uname -a
  g8os exec --timeout 30s -e LANG=C office-1 -- sh -c 'journalctl -f'`
}

func (e *execCmd) Run(s *session) error {
	argv := e.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return exitError{exitUsage, errors.New("no command: want g8os exec NODE -- COMMAND ARGUMENTS")}
	}
	c, err := s.dial()
	if err != nil {
		return exitError{exitNotRun, err}
	}
	defer c.Close()
	code, err := c.Exec(s.ctx, e.Node, api.ExecRequest{
		Argv: argv, Env: e.Env, Dir: e.Dir, TimeoutMS: e.Timeout.Milliseconds(),
	}, client.ExecOptions{Keep: e.Keep, Stdout: s.stdout, Stderr: s.stderr})
	switch {
	case s.ctx.Err() != nil:
		return exitError{exitInterrupted, fmt.Errorf("interrupted; the command %s", map[bool]string{true: "goes on", false: "is being stopped"}[e.Keep])}
	case errors.Is(err, client.ErrJob) && code > 0: // a program that is not there, a timeout
		return exitError{code, err}
	case err != nil:
		return exitError{exitNotRun, err}
	case code != 0:
		return exitError{code: code}
	}
	return nil
}
