package main

import (
	"fmt"

	"github.com/g8os/g8os/core/api"
)

type recoveryCmd struct {
	Show recoveryShowCmd `cmd:"" help:"Show the recovery key of a node's volume, once."`
}

type recoveryShowCmd struct {
	Again  bool   `help:"Also if it was shown before."`
	Node   string `arg:"" help:"Id, MAC or host name."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table (the key alone) or json."`
}

func (recoveryShowCmd) Help() string {
	return `The key opens the volume without any AC: keep it where neither the node's disk nor the
AC's data is. It is alone on stdout. Only an admin gets it; who got it, and when, is in
the audit, and the next one who asks is told.`
}

func (r *recoveryShowCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	key, err := c.Recovery(s.ctx, r.Node, r.Again)
	if err != nil {
		return err
	}
	text := api.FormatRecovery(key.Key)
	if r.Output == "json" {
		return writeJSON(s.stdout, map[string]string{"node_id": string(key.NodeID), "name": key.Name, "key": text})
	}
	fmt.Fprintf(s.stderr, "recovery key of %s (%s); write it down, it is not shown again just so\n", orDash(key.Name), key.NodeID)
	_, err = fmt.Fprintln(s.stdout, text)
	return err
}
