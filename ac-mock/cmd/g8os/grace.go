package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

type graceCmd struct {
	Set   graceSetCmd   `cmd:"" help:"Let nodes unlock without an AC, for a time and a number of boots after their last session."`
	Show  graceShowCmd  `cmd:"" help:"Show which nodes may, and what it costs."`
	Clear graceClearCmd `cmd:"" help:"Nodes need an AC to unlock again, from their next session on."`
}

// graceNodes are the nodes meant.
type graceNodes struct {
	Nodes  []string `arg:"" optional:"" name:"node" help:"Ids, MACs or host names."`
	All    bool     `help:"All enrolled nodes."`
	Output string   `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type graceSetCmd struct {
	For   time.Duration `default:"24h" help:"How long after its last session, at most 720h."`
	Boots int           `default:"3" help:"How many boots since its last session, at most 100."`
	graceNodes
}

type (
	graceShowCmd  struct{ graceNodes }
	graceClearCmd struct{ graceNodes }
)

func (graceSetCmd) Help() string {
	return `Off unless it is set. It trades: while it lasts, whoever steals such a node can open its
volume without an AC. Where a TPM keeps the key that means the whole machine, for that time
and that number of boots, which the TPM counts; a copy of the disk is of no use. Without a
TPM the disk is enough, and a copy of it for as long as the clock is set to fit.

  g8os grace set office-1 --for 24h --boots 3
  g8os grace set --all --for 8h --boots 1`
}

func (g *graceSetCmd) Run(s *session) error {
	terms := api.Grace{ForMS: g.For.Milliseconds(), Boots: g.Boots}
	if err := terms.Valid(); err != nil {
		return exitError{code: exitUsage, err: err}
	}
	if !terms.On() {
		return exitError{code: exitUsage, err: errors.New("a grace of no time: g8os grace clear ends one")}
	}
	return g.change(s, terms)
}

func (g *graceClearCmd) Run(s *session) error { return g.change(s, api.Grace{}) }

func (g *graceShowCmd) Run(s *session) error {
	if len(g.Nodes) == 0 {
		g.All = true
	}
	return g.each(s, func(_ *client.Client, n api.Node) (api.Node, error) { return n, nil })
}

func (g *graceNodes) change(s *session, terms api.Grace) error {
	return g.each(s, func(c *client.Client, n api.Node) (api.Node, error) { return c.SetGrace(s.ctx, string(n.ID), terms) })
}

// each does something with every node meant, and shows them.
func (g *graceNodes) each(s *session, do func(*client.Client, api.Node) (api.Node, error)) error {
	if g.All == (len(g.Nodes) > 0) {
		return exitError{code: exitUsage, err: errors.New("name nodes, or say --all")}
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	nodes, err := g.meant(s, c)
	if err != nil {
		return err
	}
	for i, n := range nodes {
		if nodes[i], err = do(c, n); err != nil {
			return err
		}
	}
	if g.Output == "json" {
		return writeJSON(s.stdout, nodes)
	}
	t := table.Table{Head: []string{"NODE", "GRACE", "TPM", "WHAT IT COSTS"}, Wraps: true}
	for _, n := range nodes {
		t.Rows = append(t.Rows, []string{orDash(n.Name), n.Grace.String(), yesNo(n.TPM), cost(n)})
	}
	return t.Print(s.stdout)
}

// meant finds all nodes before anything is changed.
func (g *graceNodes) meant(s *session, c *client.Client) (nodes []api.Node, err error) {
	if !g.All {
		for _, ref := range g.Nodes {
			n, err := c.Node(s.ctx, ref)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
		return nodes, nil
	}
	all, err := c.Nodes(s.ctx)
	for _, n := range all {
		if n.State == api.NodeEnrolled {
			nodes = append(nodes, n)
		}
	}
	return nodes, err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func cost(n api.Node) string {
	switch {
	case !n.Grace.On():
		return "-"
	case n.TPM:
		return fmt.Sprintf("the whole machine, stolen, opens for %s or %d boots", n.Grace.For(), n.Grace.Boots)
	}
	return "the disk, stolen or copied, opens without an AC"
}
