package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/core/api"
)

type auditCmd struct {
	Node   string `help:"Only about this node (id, MAC or host name)." placeholder:"NODE"`
	Limit  int    `short:"n" default:"200" help:"At most so many of the newest; 0: all that are kept."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
	Follow bool   `short:"f" help:"Go on: print new ones as they are made. With -o json, one a line."`
}

func (a *auditCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Audit(s.ctx, a.Node, 0, a.Limit)
	if err != nil {
		return err
	}
	if err := a.print(s.stdout, list, true); err != nil || !a.Follow {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := newest(list, 0); ; last = newest(list, last) {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-tick.C:
		}
		if list, err = c.Audit(s.ctx, a.Node, last, 0); err != nil {
			return err
		}
		if err := a.print(s.stdout, list, false); err != nil {
			return err
		}
	}
}

func (a *auditCmd) print(w io.Writer, list []api.AuditEntry, first bool) error {
	switch {
	case a.Output == "json" && a.Follow:
		enc := json.NewEncoder(w)
		for _, e := range list {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return nil
	case a.Output == "json":
		return writeJSON(w, list)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if first {
		fmt.Fprintln(t, "TIME\tNODE\tACTION\tDECISION\tREASON\tACTOR\tPEER\tDETAIL")
	}
	for _, e := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.Local().Format("2006-01-02 15:04:05"),
			orDash(e.Node.MAC()), e.Action, e.Decision, e.Reason, e.Actor, orDash(e.Peer), e.Detail)
	}
	return t.Flush()
}

func newest(list []api.AuditEntry, last uint64) uint64 {
	for _, e := range list {
		last = max(last, e.Seq)
	}
	return last
}
