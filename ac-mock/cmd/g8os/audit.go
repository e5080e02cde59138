package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/audit/chain"
	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type auditCmd struct {
	List   auditListCmd   `cmd:"" default:"withargs" help:"List decisions (also without the word list)."`
	Verify auditVerifyCmd `cmd:"" help:"Check that nothing in the audit was changed, dropped, added or put in another order."`
}

type auditListCmd struct {
	Node   string `help:"Only about this node (id, MAC or host name)." placeholder:"NODE"`
	Limit  int    `short:"n" default:"200" help:"At most so many of the newest; 0: all that are kept."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
	Follow bool   `short:"f" help:"Go on: print new ones as they are made. With -o json, one a line."`
}

func (a *auditListCmd) Run(s *session) error {
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
	return a.follow(s, c, newest(list, 0))
}

// follow prints what is new until Ctrl-C. Once it has begun it outlives the AC's
// outages, and then goes on where it was.
func (a *auditListCmd) follow(s *session, c *client.Client, last uint64) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := false; ; {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-tick.C:
		}
		list, err := c.Audit(s.ctx, a.Node, last, 0)
		switch lost := errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrLost); {
		case err == nil:
			told = false
		case s.ctx.Err() != nil || !lost:
			return err
		case !told:
			fmt.Fprintf(s.stderr, "g8os: %s %s; trying again until Ctrl-C\n", time.Now().Format(time.TimeOnly), oneLine(err.Error()))
			told = true
		}
		if err := a.print(s.stdout, list, false); err != nil {
			return err
		}
		last = newest(list, last)
	}
}

func (a *auditListCmd) print(w io.Writer, list []api.AuditEntry, first bool) error {
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

type auditVerifyCmd struct {
	Noted  string `help:"A mark that an earlier verify printed, and that was kept elsewhere: also who rewrote everything is found." placeholder:"MARK"`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (auditVerifyCmd) Help() string {
	return `Each entry holds the hash of the one before it. The whole audit is read and checked here.
Exit status: 0 it is whole; 1 it is not, or could not be read.

  g8os audit verify
  g8os audit verify --noted 1234:5f7a…`
}

func (a *auditVerifyCmd) Run(s *session) error {
	var noted api.AuditMark
	if a.Noted != "" {
		var err error
		if noted, err = chain.Parse(a.Noted); err != nil {
			return exitError{exitUsage, err}
		}
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.VerifyAudit(s.ctx, noted)
	if errors.Is(err, chain.ErrBroken) {
		return fmt.Errorf("%w; compare it with a backup, and see who can write to the AC's data", err)
	}
	if err != nil {
		return err
	}
	if a.Output == "json" {
		return writeJSON(s.stdout, map[string]any{"whole": true, "entries": r.Entries, "anchor": r.Anchor, "mark": r.Head.String(), "waiting": r.Waiting})
	}
	fmt.Fprintf(s.stdout, "whole: %d entries, %d to %d", r.Entries, min(r.Anchor.Seq+1, r.Head.Seq), r.Head.Seq)
	if r.Waiting > 0 {
		fmt.Fprintf(s.stdout, ", and %d that are not tied to it yet", r.Waiting)
	}
	_, err = fmt.Fprintf(s.stdout, "\nmark   %s\n", r.Head)
	return err
}

func newest(list []api.AuditEntry, last uint64) uint64 {
	for _, e := range list {
		last = max(last, e.Seq)
	}
	return last
}
