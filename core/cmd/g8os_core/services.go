package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/bootlog"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/services/spec"
	"github.com/g8os/g8os/internal/shown"
)

// servicesLogs is where services write.
var servicesLogs = filepath.Join(bootlog.Dir, "services")

type servicesCmd struct {
	List     servicesListCmd  `cmd:"" default:"withargs" help:"Show how all services are."`
	Start    serviceDoCmd     `cmd:"" help:"Start one, also one that has failed or was stopped."`
	Stop     serviceDoCmd     `cmd:"" help:"Stop one, and those that need it. It stays stopped, also after a reboot."`
	Restart  serviceDoCmd     `cmd:"" help:"Stop one and start it anew."`
	Logs     logsCmd          `cmd:"" help:"Print what one wrote."`
	Reload   serviceReloadCmd `cmd:"" help:"Read the declarations again now; g8os_core does by itself within seconds."`
	Check    servicesCheckCmd `cmd:"" help:"Check declarations without running anything. Exit code 1 when there is a mistake."`
	Shutdown shutdownCmd      `cmd:"" hidden:"" help:"End jobs, and services in order: the machine goes down."`
}

func (servicesCmd) Help() string {
	return `Services are declared in /mnt/etc/services.d/*.toml (see /usr/share/doc/g8os-core/examples/services.toml).

  g8os_core services
  g8os_core services restart web
  g8os_core services logs -f web
  g8os_core services check /mnt/etc/services.d/*.toml`
}

type servicesListCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run prints the services, and what is wrong with their declarations.
func (s *servicesListCmd) Run(ctx context.Context, c *cli, out io.Writer) error {
	return askServices(ctx, c, api.BuiltinServices, struct{}{}, s.Output, out)
}

// askServices has the daemon do something that answers with services.
func askServices(ctx context.Context, c *cli, what api.Builtin, args any, format string, out io.Writer) error {
	var answer bytes.Buffer
	if err := (local.Client{Path: c.Socket}).Builtin(ctx, what, args, &answer); err != nil {
		return err
	}
	if format == "json" {
		_, err := out.Write(answer.Bytes())
		return err
	}
	var list api.ServiceList
	if err := json.Unmarshal(answer.Bytes(), &list); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return shown.Services(out, list)
}

type serviceDoCmd struct {
	Name string `arg:"" help:"Name of the service."`
}

// Run does what the command's last word says.
func (s *serviceDoCmd) Run(ctx context.Context, c *cli, out io.Writer, verb verb) error {
	return askServices(ctx, c, api.BuiltinService, api.ServiceRequest{Do: api.ServiceDo(verb), Name: s.Name}, "table", out)
}

type serviceReloadCmd struct{}

func (serviceReloadCmd) Run(ctx context.Context, c *cli, out io.Writer) error {
	return askServices(ctx, c, api.BuiltinService, api.ServiceRequest{Do: api.ServiceReload}, "table", out)
}

type logsCmd struct {
	Follow bool   `short:"f" help:"Go on until Ctrl-C."`
	Lines  int    `short:"n" default:"100" help:"So many of the last lines."`
	Name   string `arg:"" help:"Name of the service."`
}

// Run prints the lines.
func (l *logsCmd) Run(ctx context.Context, c *cli, out io.Writer) error {
	if l.Lines < 1 {
		return usageError{fmt.Errorf("logs: --lines is %d, want 1 or more", l.Lines)}
	}
	err := local.Client{Path: c.Socket}.Builtin(ctx, api.BuiltinLogs, api.LogsRequest{Name: l.Name, Lines: l.Lines, Follow: l.Follow}, shown.Lines(out))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type servicesCheckCmd struct {
	Files []string `arg:"" type:"path" help:"Files such as those of /mnt/etc/services.d; they are taken together."`
}

// Run prints each mistake, and what the rest declares.
func (s *servicesCheckCmd) Run(out io.Writer) error {
	var files []spec.File
	for _, name := range s.Files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files = append(files, spec.Parse(name, text))
	}
	set := spec.Settle(files, "sshd")
	for _, p := range set.Problems {
		fmt.Fprintln(out, p)
	}
	for _, svc := range set.Services {
		fmt.Fprintf(out, "%s: %q\n", svc.Name, svc.Command)
	}
	if n := len(set.Problems); n > 0 {
		return fmt.Errorf("%d problems; a node would run the rest", n)
	}
	return nil
}

type shutdownCmd struct{}

func (shutdownCmd) Run(ctx context.Context, c *cli) error {
	err := local.Client{Path: c.Socket}.Shutdown(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return nil // nobody runs any
	}
	return err
}

// verb is the last word of the command.
type verb string
