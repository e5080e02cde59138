package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/g8os/g8os/core/api"
)

// maxScript bounds a script, in bytes: it travels in one request, in base64,
// beside its arguments and variables.
const maxScript = 44 << 10

type runCmd struct {
	target
	terms
	leave
	Script string   `arg:"" help:"A file; - is what comes on stdin. Its first line says what runs it."`
	Node   *string  `arg:"" optional:"" help:"Id, MAC or host name; several with commas between."`
	Args   []string `arg:"" optional:"" passthrough:"" help:"The script's arguments, after --."`
}

func (runCmd) Help() string {
	return `The script is a file of this machine, of at most 44 KiB; it begins with #!, such as #!/bin/sh.
Output and exit status are as with exec.

  g8os run setup.sh office-1
  g8os run setup.sh --role web -- --fast nginx
  g8os run - --all < setup.sh`
}

func (r *runCmd) Run(s *session) error {
	to, args, err := r.operands(r.Args, given(r.Node)...)
	if err != nil {
		return err
	}
	text, err := readScript(s, r.Script)
	if err != nil {
		return exitError{exitUsage, err}
	}
	req, err := r.request(to, api.ExecRequest{Script: text, Argv: args})
	if err != nil {
		return err
	}
	return s.do(req, r.leave)
}

// readScript reads a script that can be sent and run.
func readScript(s *session, name string) ([]byte, error) {
	from := s.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read the script: %w", err)
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxScript+1))
	line, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the script: %w", err)
	case len(text) == 0:
		return nil, fmt.Errorf("script %s is empty", name)
	case len(text) > maxScript:
		return nil, fmt.Errorf("script %s is larger than %d bytes: copy it to the nodes (g8os cp), and run it with g8os exec", name, maxScript)
	case !bytes.HasPrefix(line, []byte("#!")):
		return nil, fmt.Errorf("script %s does not say what runs it: begin its first line with #!, such as #!/bin/sh", name)
	case bytes.HasSuffix(line, []byte("\r")):
		return nil, errors.New("script " + name + " has the line ends of another system (CR LF), with which no program of that name is found: write it with LF")
	}
	return text, nil
}
