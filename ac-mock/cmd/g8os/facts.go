package main

import "github.com/g8os/g8os/internal/shown"

type factsCmd struct {
	Node   string `arg:"" help:"Id, MAC or host name."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (factsCmd) Help() string {
	return `Hardware, kernel, disks, networks and versions, as the node reads them now; it has to be managed.

  g8os facts office-1
  g8os facts -o json office-1 | jq .cpu.virtualization`
}

func (f *factsCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	facts, err := c.Facts(s.ctx, f.Node)
	if err != nil {
		return err
	}
	if f.Output == "json" {
		return writeJSON(s.stdout, facts)
	}
	return shown.Facts(s.stdout, facts)
}
