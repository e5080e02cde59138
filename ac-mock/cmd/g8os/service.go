package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/shown"
)

type serviceCmd struct {
	List    serviceListCmd    `cmd:"" help:"Show how the services of a node are."`
	Start   serviceDoCmd      `cmd:"" help:"Start one, also one that has failed or was stopped."`
	Stop    serviceDoCmd      `cmd:"" help:"Stop one, and those that need it. It stays stopped, also after a reboot."`
	Restart serviceDoCmd      `cmd:"" help:"Stop one and start it anew."`
	Logs    serviceLogsCmd    `cmd:"" help:"Print what one wrote."`
	Declare serviceDeclareCmd `cmd:"" help:"Give a node a service, or change one."`
	Remove  serviceRemoveCmd  `cmd:"" help:"Take back what was declared so; it ends."`
	Reload  serviceReloadCmd  `cmd:"" help:"Have a node read its declarations again now."`
}

func (serviceCmd) Help() string {
	return `The node has to be managed. What it refuses (a mistake in a declaration, an unknown service) exits with 1.

  g8os service list office-1
  g8os service restart office-1 web
  g8os service logs -f office-1 web
  g8os service declare office-1 web web.toml   # one [service.web]`
}

// serviceLimit is how long a node may take to answer.
const serviceLimit = time.Minute

// service has a node do something that answers with services.
func (s *session) service(node string, what api.Builtin, args any, format string) error {
	var answer bytes.Buffer
	if err := s.builtin(node, what, args, &answer, serviceLimit); err != nil {
		return err
	}
	if format == "json" {
		_, err := s.stdout.Write(answer.Bytes())
		return err
	}
	var list api.ServiceList
	if err := json.Unmarshal(answer.Bytes(), &list); err != nil {
		return fmt.Errorf("%s of %s: %w", what, node, err)
	}
	if len(list.Services) == 0 && len(list.Problems) == 0 {
		return nil
	}
	return shown.Services(s.stdout, list)
}

// builtin has a node do something that g8os_core itself does. limit 0: none.
func (s *session) builtin(node string, what api.Builtin, args any, out io.Writer, limit time.Duration) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	code, err := c.Exec(s.ctx, node, api.ExecRequest{Builtin: what, Args: raw, TimeoutMS: limit.Milliseconds()}, client.ExecOptions{Stdout: out, Stderr: s.stderr})
	switch {
	case s.ctx.Err() != nil:
		return exitError{exitInterrupted, errors.New("interrupted")}
	case err == nil && code != 0:
		return fmt.Errorf("%s on %s: exit code %d", what, node, code)
	}
	return err
}

type serviceListCmd struct {
	Node   string `arg:"" help:"Id, MAC or host name."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (l *serviceListCmd) Run(s *session) error {
	return s.service(l.Node, api.BuiltinServices, struct{}{}, l.Output)
}

type serviceDoCmd struct {
	Node   string `arg:"" help:"Id, MAC or host name."`
	Name   string `arg:"" help:"Name of the service."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run does what the command's last word says.
func (d *serviceDoCmd) Run(s *session) error {
	return s.service(d.Node, api.BuiltinService, api.ServiceRequest{Do: api.ServiceDo(s.command), Name: d.Name}, d.Output)
}

type serviceLogsCmd struct {
	Follow bool   `short:"f" help:"Go on until Ctrl-C."`
	Lines  int    `short:"n" default:"100" help:"So many of the last lines."`
	Output string `short:"o" enum:"text,json" default:"text" help:"text or json."`
	Node   string `arg:"" help:"Id, MAC or host name."`
	Name   string `arg:"" help:"Name of the service."`
}

// Run prints the lines.
func (l *serviceLogsCmd) Run(s *session) error {
	if l.Lines < 1 {
		return exitError{exitUsage, fmt.Errorf("--lines is %d, want 1 or more", l.Lines)}
	}
	out, limit := s.stdout, time.Duration(0)
	if l.Output == "text" {
		out = shown.Lines(s.stdout)
	}
	if !l.Follow {
		limit = serviceLimit
	}
	return s.builtin(l.Node, api.BuiltinLogs, api.LogsRequest{Name: l.Name, Lines: l.Lines, Follow: l.Follow}, out, limit)
}

type serviceDeclareCmd struct {
	Node string `arg:"" help:"Id, MAC or host name."`
	Name string `arg:"" help:"Name of the service."`
	File string `arg:"" help:"TOML with one [service.NAME] (g8os_core services check FILE); - is stdin."`
}

// Run sends the declaration.
func (d *serviceDeclareCmd) Run(s *session) error {
	text, err := readDeclaration(d.File)
	if err != nil {
		return exitError{exitUsage, err}
	}
	return s.service(d.Node, api.BuiltinService, api.ServiceRequest{Do: api.ServiceDeclare, Name: d.Name, Text: string(text)}, "table")
}

// maxDeclaration bounds what is sent, in bytes.
const maxDeclaration = 256 << 10

func readDeclaration(name string) ([]byte, error) {
	in := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDeclaration+1))
	if err == nil && len(text) > maxDeclaration {
		err = fmt.Errorf("%s: is larger than 256 KiB", name)
	}
	return text, err
}

type serviceRemoveCmd struct {
	Node string `arg:"" help:"Id, MAC or host name."`
	Name string `arg:"" help:"Name of the service."`
}

func (r *serviceRemoveCmd) Run(s *session) error {
	return s.service(r.Node, api.BuiltinService, api.ServiceRequest{Do: api.ServiceRemove, Name: r.Name}, "table")
}

type serviceReloadCmd struct {
	Node string `arg:"" help:"Id, MAC or host name."`
}

func (r *serviceReloadCmd) Run(s *session) error {
	return s.service(r.Node, api.BuiltinService, api.ServiceRequest{Do: api.ServiceReload}, "table")
}
