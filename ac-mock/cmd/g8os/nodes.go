package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

type nodesCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
	Watch  bool   `short:"w" help:"Go on: again at every change. With -o json, one list a line."`
}

func (n *nodesCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if n.Watch {
		return n.watch(s, c)
	}
	list, err := c.Nodes(s.ctx)
	if err != nil {
		return err
	}
	if n.Output == "json" {
		return writeJSON(s.stdout, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(s.stderr, "no node has asked for its key yet")
	}
	return nodeTable(s.stdout, list, time.Now())
}

// retry is how long an AC that was lost is left alone.
const retry = time.Second

// watch shows the nodes until Ctrl-C. Once it has shown them it outlives the
// AC's outages: those are when one looks.
func (n *nodesCmd) watch(s *session, c *client.Client) error {
	show, seen, told := n.screen(s.stdout), false, false
	for {
		err := c.WatchNodes(s.ctx, func(list []api.Node) error {
			seen, told = true, false
			return show(list)
		})
		lost := errors.Is(err, client.ErrLost) || errors.Is(err, client.ErrUnreachable)
		if s.ctx.Err() != nil || !seen || !lost {
			return err
		}
		if !told {
			fmt.Fprintf(s.stderr, "g8os: %s %s; trying again until Ctrl-C\n", time.Now().Format(time.TimeOnly), oneLine(err.Error()))
			told = true
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(retry):
		}
	}
}

// screen shows one list after the other: over the last one on a terminal.
func (n *nodesCmd) screen(w io.Writer) func([]api.Node) error {
	terminal := table.IsTerminal(w)
	return func(list []api.Node) error {
		if n.Output == "json" {
			return json.NewEncoder(w).Encode(list)
		}
		if terminal {
			fmt.Fprint(w, "\x1b[H\x1b[2J")
		}
		if err := nodeTable(w, list, time.Now()); err != nil {
			return err
		}
		_, err := fmt.Fprintln(w)
		return err
	}
}

// rolesColumn is where the roles of nodes stand in the table, if any has some.
const rolesColumn = 3

func nodeTable(w io.Writer, list []api.Node, now time.Time) error {
	t := table.Table{
		Head:  []string{"NAME", "MAC", "STATE", "PHASE", "WAY", "ADDRESS", "VERSION", "CERTIFICATE", "SEEN", "WHY"},
		Wraps: true, Dispensable: []string{"CERTIFICATE", "MAC", "VERSION", "ADDRESS"},
	}
	roles := slices.ContainsFunc(list, func(n api.Node) bool { return len(n.Roles) > 0 })
	if roles {
		t.Head = slices.Insert(t.Head, rolesColumn, "ROLES")
	}
	for _, n := range slices.SortedStableFunc(slices.Values(list), byName) {
		row := []string{
			cmp.Or(n.Name, string(n.ID)), n.MAC, string(n.State), orDash(n.Phase), orDash(n.Way), orDash(n.Address),
			orDash(n.Version), until(n.CertificateExpires, now), ago(n.LastSeen, now), unusual(n),
		}
		if roles {
			row = slices.Insert(row, rolesColumn, orDash(strings.Join(n.Roles, ",")))
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Print(w)
}

// unusual is what is unusual about a node.
func unusual(n api.Node) string {
	switch {
	case n.Drained && n.Reason == "":
		return "drained"
	case n.Drained:
		return "drained; " + n.Reason
	}
	return n.Reason
}

// byName orders nodes as people count: n-2 before n-10.
func byName(a, b api.Node) int { return countedNames(a.Name, b.Name) }

func countedNames(a, b string) int {
	kind := func(name string) string { return strings.TrimRight(name, "0123456789") }
	return cmp.Or(cmp.Compare(kind(a), kind(b)), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func sortNames(names []string) { slices.SortFunc(names, countedNames) }

type nodeCmd struct {
	Show       oneCmd        `cmd:"" help:"Show everything about a node."`
	Approve    approveCmd    `cmd:"" help:"Let a pending node in; compare its fingerprint first (g8os_core status on the node)."`
	Retire     retireCmd     `cmd:"" help:"End a node for good: the keys to its volume are deleted."`
	Quarantine quarantineCmd `cmd:"" help:"Shut a node out until it is released."`
	Release    releaseCmd    `cmd:"" help:"Let a node out of quarantine."`
	Drain      drainCmd      `cmd:"" help:"Begin no new jobs on a node; what runs goes on."`
	Undrain    undrainCmd    `cmd:"" help:"Begin jobs on a node again."`
	Reboot     rebootCmd     `cmd:"" help:"Reboot a node, in order."`
	Poweroff   poweroffCmd   `cmd:"" help:"Switch a node off, in order."`
	Role       roleCmd       `cmd:"" help:"Say what a node is for: jobs for a role are jobs for all nodes that have it."`
}

type oneCmd struct {
	Node   string `arg:"" help:"Id, MAC or host name."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type (
	approveCmd    struct{ oneCmd }
	retireCmd     struct{ oneCmd }
	quarantineCmd struct{ oneCmd }
	releaseCmd    struct{ oneCmd }
)

type nodeCall func(*client.Client, context.Context, string) (api.Node, error)

func (o *oneCmd) Run(s *session) error        { return o.do(s, (*client.Client).Node) }
func (o *approveCmd) Run(s *session) error    { return o.do(s, (*client.Client).Approve) }
func (o *retireCmd) Run(s *session) error     { return o.do(s, (*client.Client).Retire) }
func (o *quarantineCmd) Run(s *session) error { return o.do(s, (*client.Client).Quarantine) }
func (o *releaseCmd) Run(s *session) error    { return o.do(s, (*client.Client).Release) }

// do makes a call about one node and shows the node as it is then.
func (o *oneCmd) do(s *session, call nodeCall) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := call(c, s.ctx, o.Node)
	if err != nil {
		return err
	}
	return showNode(s.stdout, n, o.Output)
}

func showNode(w io.Writer, n api.Node, output string) error {
	if output == "json" {
		return writeJSON(w, n)
	}
	return nodeSheet(w, n, time.Now())
}

func nodeSheet(w io.Writer, n api.Node, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"name", n.Name}, {"id", string(n.ID)}, {"mac", n.MAC},
		{"state", string(n.State)}, {"why", n.Reason}, {"roles", strings.Join(n.Roles, ", ")}, {"fingerprint", n.Fingerprint},
		{"tpm", yesNo(n.TPM)}, {"grace", n.Grace.String()},
		{"phase", n.Phase}, {"way", n.Way}, {"address", n.Address},
		{"version", n.Version}, {"jobs", map[bool]string{true: "none are begun: it is drained"}[n.Drained]},
		{"certificate", until(n.CertificateExpires, now)}, {"seen", ago(n.LastSeen, now)},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], orDash(row[1]))
	}
	return t.Flush()
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func orDash(s string) string { return cmp.Or(s, "-") }

func until(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return "-"
	case t.Before(now):
		return "ran out " + short(now.Sub(*t)) + " ago"
	}
	return "for " + short(t.Sub(now))
}

func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return short(max(0, now.Sub(*t))) + " ago"
}

// short writes a time with one unit, as people say it.
func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// oneLine keeps joined errors on one line.
func oneLine(s string) string { return strings.Join(strings.Split(s, "\n"), "; ") }
