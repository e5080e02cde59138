package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/network/nettoml"
)

type statusCmd struct {
	Output string `short:"o" help:"text or json." enum:"text,json" default:"text"`
	Watch  bool   `short:"w" help:"Go on showing every change."`
}

func (s *statusCmd) Run(ctx context.Context, c *cli, out io.Writer) error {
	client := local.Client{Path: c.Socket}
	if s.Watch {
		err := client.Watch(ctx, func(st api.Status) bool { return s.print(out, st) == nil })
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	st, err := client.Status(ctx)
	if err != nil {
		return err
	}
	return s.print(out, st)
}

func (s *statusCmd) print(out io.Writer, st api.Status) error {
	if s.Output == "json" {
		return json.NewEncoder(out).Encode(st)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("node", strings.TrimSpace(st.Hostname+"  "+st.MAC))
	row("phase", st.Phase)
	since := fmt.Sprintf("  (since %s, %s)", st.Since.Local().Format("15:04:05"), time.Since(st.Since).Round(time.Second))
	if st.WaitsFor != "" {
		row("waits for", st.WaitsFor+since)
	} else {
		row("managed", fmt.Sprintf("after %s%s", time.Duration(st.ManagedAfterMS)*time.Millisecond, since))
	}
	row("way", st.Way)
	row("address", strings.TrimSpace(st.Address+"  "+st.Interface))
	row("controller", st.Controller)
	row("fingerprint", st.Fingerprint)
	row("version", st.Version)
	if st.WaitsFor != "" && !strings.Contains(st.WaitsFor, st.LastError) {
		row("last error", st.LastError)
	}
	for _, service := range st.Services {
		row("service", service)
	}
	for _, warning := range st.Warnings {
		row("warning", warning)
	}
	return w.Flush()
}

type waitCmd struct {
	Phase   string        `help:"Phase to wait for: network, unlock, secure, ssh, sandbox or managed." enum:"network,unlock,secure,ssh,sandbox,managed" default:"managed"`
	Timeout time.Duration `help:"How long to wait; 0: for ever." default:"0"`
}

var order = []boot.Phase{boot.PhaseNetwork, boot.PhaseUnlock, boot.PhaseSecure, boot.PhaseSSH, boot.PhaseSandbox, boot.PhaseManaged}

// Run shows what the node waits for while it waits.
func (w *waitCmd) Run(ctx context.Context, c *cli, out io.Writer) error {
	if w.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.Timeout)
		defer cancel()
	}
	var last api.Status
	reached := func(st api.Status) bool {
		return slices.Index(order, boot.Phase(st.Phase)) >= slices.Index(order, boot.Phase(w.Phase))
	}
	err := local.Client{Path: c.Socket}.Watch(ctx, func(st api.Status) bool {
		if line := st.Phase + ": " + st.WaitsFor; st.WaitsFor != "" && line != last.Phase+": "+last.WaitsFor {
			fmt.Fprintln(out, line)
		}
		last = st
		return !reached(st)
	})
	switch {
	case err == nil:
		fmt.Fprintf(out, "%s: reached\n", last.Phase)
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return w.late(last)
	}
	return err
}

func (w *waitCmd) late(st api.Status) error {
	text := fmt.Sprintf("not %s within %s: it is in %s and waits for %s since %s", w.Phase, w.Timeout, st.Phase, st.WaitsFor, st.Since.Local().Format(time.TimeOnly))
	if !strings.Contains(st.WaitsFor, st.LastError) {
		text += "; last error: " + st.LastError
	}
	return errors.New(text)
}

// problemsShown is how many mistakes of a file are shown: more are not read.
const problemsShown = 10

type netCmd struct {
	File string `arg:"" optional:"" help:"The file." default:"/etc/g8os/net.toml" type:"path"`
}

// Run prints each mistake, and what the rest amounts to.
func (n *netCmd) Run(out io.Writer) error {
	text, err := os.ReadFile(n.File)
	if err != nil {
		return err
	}
	config, problems := nettoml.Parse(n.File, text)
	for i, p := range problems {
		if i == problemsShown {
			fmt.Fprintf(out, "… and %d more\n", len(problems)-i)
			break
		}
		fmt.Fprintln(out, p)
	}
	fmt.Fprintf(out, "controllers: %s\n", strings.Join(config.Controllers, ", "))
	for _, i := range config.Interfaces {
		fmt.Fprintf(out, "%s: %s %s %v\n", i.Name, i.Kind, i.Method, i.Addresses)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d problems; a node would apply the rest", len(problems))
	}
	return nil
}

type reloadCmd struct{}

func (reloadCmd) Run(ctx context.Context, c *cli) error {
	return local.Client{Path: c.Socket}.Reload(ctx)
}
