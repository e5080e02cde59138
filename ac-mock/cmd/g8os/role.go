package main

import "github.com/g8os/g8os/core/api"

type roleCmd struct {
	Add    roleAddCmd    `cmd:"" help:"Give a node roles."`
	Remove roleRemoveCmd `cmd:"" help:"Take roles from a node."`
}

// ofRoles is what both need.
type ofRoles struct {
	Node   string   `arg:"" help:"Id, MAC or host name."`
	Roles  []string `arg:"" name:"role" help:"Roles: 1 to 32 of a-z, 0-9 and - each; a node has at most 32."`
	Output string   `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type (
	roleAddCmd    struct{ ofRoles }
	roleRemoveCmd struct{ ofRoles }
)

func (roleAddCmd) Help() string {
	return `A role is a name of your own; it is there once a node has it.

  g8os node role add office-1 web db
  g8os exec --role web -- uptime`
}

func (a *roleAddCmd) Run(s *session) error { return a.change(s, api.RolesRequest{Add: a.Roles}) }

func (a *roleRemoveCmd) Run(s *session) error { return a.change(s, api.RolesRequest{Remove: a.Roles}) }

func (o *ofRoles) change(s *session, q api.RolesRequest) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := c.ChangeRoles(s.ctx, o.Node, q)
	if err != nil {
		return err
	}
	return showNode(s.stdout, n, o.Output)
}
