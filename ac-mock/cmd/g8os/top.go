package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/shown"
	"github.com/g8os/g8os/internal/table"
)

type topCmd struct {
	Node     string        `arg:"" optional:"" help:"Id, MAC or host name; without it, all nodes."`
	Watch    bool          `short:"w" help:"Go on until Ctrl-C. With -o json, one answer a line."`
	Sort     string        `enum:"cpu,mem,disk,net,load,name" default:"cpu" help:"Of all nodes: by ${enum}."`
	Interval time.Duration `default:"1s" help:"Of one node: what is measured over."`
	Limit    int           `short:"n" default:"20" help:"Of one node: so many processes and cgroups."`
	Output   string        `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (topCmd) Help() string {
	return `Without NODE: what each node that has a session measured last, which is every 15 s.
With NODE: the processes and cgroups that use it, measured now. CPU of a process is of one core.

  g8os top --watch
  g8os top --sort mem -o json
  g8os top --watch --interval 5s office-1`
}

// gridEvery is how often all nodes are looked at.
const gridEvery = 5 * time.Second

func (t *topCmd) Run(s *session) error {
	if t.Interval < time.Millisecond {
		return exitError{exitUsage, fmt.Errorf("--interval %s: want 100ms or more", t.Interval)}
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if t.Node == "" {
		return t.grid(s, c)
	}
	first := true
	args := api.TopArgs{IntervalMS: t.Interval.Milliseconds(), Follow: t.Watch, Limit: t.Limit}
	return c.Top(s.ctx, t.Node, args, func(now api.Top) error {
		defer func() { first = false }()
		return t.screen(s.stdout, first, now, func(w io.Writer) error { return shown.Top(w, now) })
	})
}

// grid shows all nodes. Once it has shown them it outlives the AC's outages.
func (t *topCmd) grid(s *session, c *client.Client) error {
	tick := time.NewTicker(gridEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		list, err := c.NodeMetrics(s.ctx)
		lost := errors.Is(err, client.ErrLost) || errors.Is(err, client.ErrUnreachable)
		switch {
		case err != nil && (first || !lost || s.ctx.Err() != nil):
			return err
		case err != nil:
			fmt.Fprintf(s.stderr, "g8os: %s %s; trying again until Ctrl-C\n", time.Now().Format(time.TimeOnly), oneLine(err.Error()))
		default:
			t.sort(list)
			if err := t.screen(s.stdout, first, list, func(w io.Writer) error { return gridTable(w, list, time.Now()) }); err != nil || !t.Watch {
				return err
			}
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-tick.C:
		}
	}
}

// screen shows one answer, on a terminal over the last one.
func (t *topCmd) screen(w io.Writer, first bool, answer any, show func(io.Writer) error) error {
	switch {
	case t.Output == "json" && t.Watch:
		return json.NewEncoder(w).Encode(answer)
	case t.Output == "json":
		return writeJSON(w, answer)
	case t.Watch && table.IsTerminal(w):
		fmt.Fprint(w, "\x1b[H\x1b[2J")
	case !first:
		fmt.Fprintln(w)
	}
	return show(w)
}

func (t *topCmd) sort(list []api.NodeMetrics) {
	by := map[string]func(api.Metrics) float64{
		"cpu":  func(m api.Metrics) float64 { return m.CPU },
		"mem":  func(m api.Metrics) float64 { return float64(m.MemUsed) / float64(max(m.MemTotal, 1)) },
		"disk": func(m api.Metrics) float64 { return float64(m.DiskUsed) / float64(max(m.DiskTotal, 1)) },
		"net":  func(m api.Metrics) float64 { return m.NetInRate + m.NetOutRate },
		"load": func(m api.Metrics) float64 { return m.Load1 },
		"name": func(api.Metrics) float64 { return 0 },
	}[t.Sort]
	slices.SortStableFunc(list, func(a, b api.NodeMetrics) int {
		return cmp.Or(cmp.Compare(by(b.Metrics), by(a.Metrics)), byName(api.Node{Name: a.Name}, api.Node{Name: b.Name}))
	})
}

func gridTable(w io.Writer, list []api.NodeMetrics, now time.Time) error {
	t := table.Table{
		Head:        []string{"NODE", "CPU", "LOAD", "MEMORY", "DISK", "IN/S", "OUT/S", "PROCESSES", "SERVICES", "FAILED", "JOBS", "ALARMS", "AC", "AGE"},
		Dispensable: []string{"AC", "PROCESSES", "AGE", "FAILED", "JOBS"},
	}
	for _, n := range list {
		m := n.Metrics
		t.Rows = append(t.Rows, []string{
			cmp.Or(api.Shown(n.Name, 64), string(n.Node)), table.Percent(m.CPU), fmt.Sprintf("%.2f", m.Load1),
			table.Of(m.MemUsed, m.MemTotal), table.Of(m.DiskUsed, m.DiskTotal), table.Bytes(m.NetInRate), table.Bytes(m.NetOutRate),
			fmt.Sprint(m.Processes), fmt.Sprint(m.Services), fmt.Sprint(m.Failed), fmt.Sprint(m.Jobs), fmt.Sprint(m.Alarms), n.AC, short(max(0, now.Sub(n.Time))),
		})
	}
	return t.Print(w)
}
