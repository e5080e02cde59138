package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type eventsCmd struct {
	Node   string `help:"Only of this node (id, MAC or host name)." placeholder:"NODE"`
	Level  int    `help:"Only of this level and above: 7 warning, 8 error, 9 critical." placeholder:"N"`
	Limit  int    `short:"n" default:"200" help:"At most so many of the newest; 0: all that are kept."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json; with --follow one event a line."`
	Follow bool   `short:"f" help:"Go on: print new ones as they come."`
}

func (eventsCmd) Help() string {
	return `What nodes noticed by themselves: alarms (alarms.toml), services that fail, warnings of programs
("7::disk nearly full" on their output). A node keeps them until an AC has them; ACs keep the last
10 000, at most 1000 of one node. The time is by the node's clock.

  g8os events --level 8 --follow
  g8os events --node office-1 -o json | jq .text`
}

func (e *eventsCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	q := client.EventsQuery{Node: e.Node, Level: e.Level, Limit: e.Limit}
	list := []api.NodeEvent{}
	err = c.Events(s.ctx, q, func(x api.NodeEvent) error { list = append(list, x); return nil })
	if err != nil {
		return err
	}
	if err := e.print(s.stdout, list, true); err != nil || !e.Follow {
		return err
	}
	if len(list) > 0 {
		q.After = list[len(list)-1].Cursor
	}
	return e.follow(s, c, q)
}

// follow prints what is new until Ctrl-C. It outlives the AC's outages, and then
// goes on where it was.
func (e *eventsCmd) follow(s *session, c *client.Client, q client.EventsQuery) error {
	q.Follow, q.Limit = true, 0
	for told := false; ; {
		err := c.Events(s.ctx, q, func(x api.NodeEvent) error {
			q.After, told = x.Cursor, false
			return e.print(s.stdout, []api.NodeEvent{x}, false)
		})
		lost := errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrLost)
		if s.ctx.Err() != nil || !lost {
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

func (e *eventsCmd) print(w io.Writer, list []api.NodeEvent, first bool) error {
	switch {
	case e.Output == "json" && e.Follow:
		enc := json.NewEncoder(w)
		for _, x := range list {
			if err := enc.Encode(x); err != nil {
				return err
			}
		}
		return nil
	case e.Output == "json":
		return writeJSON(w, list)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if first {
		fmt.Fprintln(t, "TIME\tNODE\tLEVEL\tSOURCE\tTEXT")
	}
	for _, x := range list {
		x = x.Shown()
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", x.Time.Local().Format(time.DateTime), cmp.Or(x.Name, x.Node.MAC()), x.Level, orDash(x.Source), x.Text)
	}
	return t.Flush()
}
