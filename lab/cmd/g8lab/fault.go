package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/g8os/g8os/internal/table"
	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/real"
)

type faultCmd struct {
	Add   faultAddCmd   `cmd:"" help:"Put a fault into force; returns once that was confirmed."`
	List  faultListCmd  `cmd:"" help:"List the faults in force."`
	Heal  faultHealCmd  `cmd:"" help:"End a fault, or all."`
	Kinds faultKindsCmd `cmd:"" help:"List every kind of fault, and what it takes."`
}

type faultAddCmd struct {
	Kind  string   `arg:"" help:"What goes wrong; g8lab fault kinds lists them."`
	Words []string `arg:"" optional:"" placeholder:"NAME=VALUE" help:"The same as the flags: from=dhcp-1, both, …"`

	On      string `placeholder:"NAME" help:"Where: a node, an AC or a segment."`
	NIC     string `name:"nic" placeholder:"NAME" help:"Of the node (eth0)."`
	From    string `placeholder:"NAME" help:"Machine whose frames suffer; none: everybody."`
	To      string `placeholder:"NAME" help:"Machine that they are for; none: everybody. Of move: the segment."`
	Both    bool   `help:"The other way as well."`
	Nodes   string `placeholder:"A,B" help:"Towards whom an AC misbehaves; none: everybody."`
	Percent string `placeholder:"N" help:"Of packets, above 0 to 100."`
	Delay   string `placeholder:"TIME" help:"One way, such as 50ms."`
	Jitter  string `placeholder:"TIME" help:"Added to the delay, evenly from 0."`
	Rate    string `placeholder:"RATE" help:"Such as 8mbit."`
	Address string `placeholder:"ADDRESS" help:"IPv4."`
	By      string `placeholder:"TIME" help:"How far a clock is off; --by=-30s is behind."`
	For     string `placeholder:"TIME" help:"How long; none: until it is healed."`
}

// fault reads flags and words into a fault.
func (a *faultAddCmd) fault() (fault.Fault, error) {
	text := strings.Join(append([]string{a.Kind}, a.Words...), " ")
	f, err := fault.Parse(text)
	if err != nil {
		return f, err
	}
	for _, flag := range []struct{ name, value string }{
		{"on", a.On}, {"nic", a.NIC}, {"from", a.From}, {"to", a.To}, {"nodes", a.Nodes}, {"percent", a.Percent},
		{"delay", a.Delay}, {"jitter", a.Jitter}, {"rate", a.Rate}, {"address", a.Address}, {"by", a.By}, {"for", a.For},
	} {
		if flag.value == "" {
			continue
		}
		if err := f.Set(flag.name, flag.value); err != nil {
			return f, fmt.Errorf("fault %s: %w", a.Kind, err)
		}
	}
	f.Both = f.Both || a.Both
	return f, nil
}

func (a *faultAddCmd) Run(ctx context.Context, c *cli, std streams) error {
	f, err := a.fault()
	if err == nil {
		_, err = fault.Find(f.Kind)
	}
	if err != nil {
		return exitError{exitUsage, err}
	}
	g, err := c.grid()
	if err != nil {
		return err
	}
	if err := g.Check(f); err != nil {
		return exitError{exitUsage, err}
	}
	done, err := g.Add(ctx, f)
	if err != nil {
		return err
	}
	ends := ""
	switch {
	case done.Healed > 0:
		ends = "; it has happened, nothing is there to heal"
	case f.For > 0:
		ends = "; it ends in " + f.For.String()
	}
	_, err = fmt.Fprintf(std.out, "%s %s: %s (%d ms)%s\n", done.ID, f, done.Measured.How, (done.InForce - done.Asked).Milliseconds(), ends)
	return err
}

// grid is the lab that is meant, as faults see it.
func (c *cli) grid() (*real.Grid, error) {
	l, err := c.open()
	if err != nil {
		return nil, err
	}
	return real.Open(l)
}

type faultListCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (f *faultListCmd) Run(ctx context.Context, c *cli, std streams) error {
	g, err := c.grid()
	if err != nil {
		return err
	}
	all, err := g.Faults(ctx)
	if err != nil {
		return err
	}
	if f.Output == "json" {
		return json.NewEncoder(std.out).Encode(all)
	}
	return printFaults(std.out, all, g.Elapsed())
}

func printFaults(w io.Writer, all []grid.Applied, now time.Duration) error {
	t := table.Table{Head: []string{"ID", "FAULT", "SINCE", "ENDS", "MEASURED"}, Wraps: true, Dispensable: []string{"SINCE"}}
	for _, a := range all {
		since, ends := "not confirmed", "when healed"
		if a.InForce > 0 {
			since = (now - a.InForce).Round(time.Second).String() + " ago"
		}
		if a.Fault.For > 0 {
			ends = "in " + max(a.InForce+time.Duration(a.Fault.For)-now, 0).Round(time.Second).String()
		}
		t.Rows = append(t.Rows, []string{a.ID, a.Fault.String(), since, ends, dash(a.Measured.How)})
	}
	return t.Print(w)
}

type faultHealCmd struct {
	ID  string `arg:"" optional:"" help:"Of the fault; g8lab fault list has it."`
	All bool   `help:"Every fault in force."`
}

func (h *faultHealCmd) Run(ctx context.Context, c *cli, std streams) error {
	if (h.ID == "") != h.All {
		return exitError{exitUsage, errors.New("heal one or all: g8lab fault heal ID, or g8lab fault heal --all")}
	}
	g, err := c.grid()
	if err != nil {
		return err
	}
	if !h.All {
		if err := g.Heal(ctx, h.ID); err != nil {
			return usageOf(err)
		}
		_, err = fmt.Fprintf(std.out, "%s is healed\n", h.ID)
		return err
	}
	all, err := g.Faults(ctx)
	if err != nil {
		return err
	}
	if err := g.HealAll(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "healed: %s\n", count(len(all), "fault"))
	return err
}

// usageOf tells what was asked wrongly from what failed.
func usageOf(err error) error {
	if errors.Is(err, grid.ErrNoFault) {
		return exitError{exitUsage, err}
	}
	return err
}

type faultKindsCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// kindRow is a kind as -o json shows it.
type kindRow struct {
	Name  string            `json:"name"`
	Class fault.Class       `json:"class"`
	Needs []string          `json:"needs"`
	Takes []string          `json:"takes"`
	Once  bool              `json:"once"`
	Not   map[string]string `json:"not"`
	Doc   string            `json:"doc"`
}

func (k *faultKindsCmd) Run(std streams) error {
	if k.Output == "json" {
		rows := []kindRow{}
		for _, k := range fault.Kinds() {
			rows = append(rows, kindRow{k.Name, k.Class, k.Needs, k.Takes, k.Once, k.Not, k.Doc})
		}
		return json.NewEncoder(std.out).Encode(rows)
	}
	t := table.Table{Head: []string{"KIND", "NEEDS", "TAKES", "NOT AT", "WHAT HAPPENS"}, Wraps: true, Dispensable: []string{"NOT AT", "TAKES"}}
	for _, k := range fault.Kinds() {
		var not []string
		for _, fidelity := range []string{"sim", "netns", "vm"} {
			if _, is := k.Not[fidelity]; is {
				not = append(not, fidelity)
			}
		}
		t.Rows = append(t.Rows, []string{k.Name, dash(strings.Join(k.Needs, ",")), dash(strings.Join(k.Takes, ",")), dash(strings.Join(not, ",")), k.Doc})
	}
	return t.Print(std.out)
}

type keeperCmd struct{}

// Run ends faults when their time is over.
func (keeperCmd) Run(ctx context.Context, c *cli) error {
	l, err := lab.Open(c.Lab, nil)
	if err != nil {
		return err
	}
	return real.Keep(ctx, l)
}
