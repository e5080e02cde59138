package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/version"
)

type faultCmd struct {
	List  faultListCmd  `cmd:"" help:"List the faults there are, and which are armed."`
	Arm   faultArmCmd   `cmd:"" help:"Arm a fault."`
	Clear faultClearCmd `cmd:"" help:"End a fault, or all of them."`
}

type faultListCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table (all) or json (those armed)."`
}

func (f *faultListCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	armed, err := c.Faults(s.ctx)
	if err != nil {
		return err
	}
	if f.Output == "json" {
		return writeJSON(s.stdout, armed)
	}
	return faultTable(s.stdout, armed, time.Now())
}

func faultTable(w io.Writer, armed []api.Fault, now time.Time) error {
	by := map[string]api.Fault{}
	for _, f := range armed {
		by[f.Name] = f
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "FAULT\tARMED\tWHAT IT DOES")
	for _, k := range fault.Kinds() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", k.Name, state(by, k.Name, now), k.Doc)
	}
	return t.Flush()
}

func state(armed map[string]api.Fault, name string, now time.Time) string {
	f, ok := armed[name]
	if !ok {
		return "-"
	}
	text := "until cleared"
	if f.ForMS > 0 {
		text = "for " + short(max(0, f.Since.Add(time.Duration(f.ForMS)*time.Millisecond).Sub(now)))
	}
	if len(f.Nodes) > 0 {
		text += fmt.Sprintf(", %d nodes", len(f.Nodes))
	}
	return text
}

type faultArmCmd struct {
	Name string        `arg:"" help:"See g8os fault list."`
	Node []string      `help:"Only towards this node; may be repeated. Default: everybody."`
	For  time.Duration `help:"For this time. Default: until cleared."`
}

func (f *faultArmCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	want := api.Fault{Name: f.Name, ForMS: f.For.Milliseconds()}
	for _, n := range f.Node {
		want.Nodes = append(want.Nodes, api.NodeID(n))
	}
	armed, err := c.Arm(s.ctx, want)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%s is armed (%s)\n", armed.Name, state(map[string]api.Fault{armed.Name: armed}, armed.Name, armed.Since))
	return nil
}

type faultClearCmd struct {
	Name string `arg:"" optional:"" help:"Default: all."`
}

func (f *faultClearCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	left, err := c.Clear(s.ctx, f.Name)
	if err != nil {
		return err
	}
	names := []string{}
	for _, l := range left {
		names = append(names, l.Name)
	}
	fmt.Fprintf(s.stdout, "still armed: %s\n", orDash(strings.Join(names, ", ")))
	return nil
}

type versionCmd struct{}

func (versionCmd) Run(s *session) error {
	_, err := fmt.Fprintln(s.stdout, version.Version())
	return err
}
