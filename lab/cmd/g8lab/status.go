package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"

	"github.com/g8os/g8os/internal/table"
	"github.com/g8os/g8os/lab"
)

type statusCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
	Watch  bool   `short:"w" help:"Show it again on every change, until Ctrl-C."`
}

func (s *statusCmd) Run(ctx context.Context, c *cli, std streams) error {
	l, err := c.open()
	if err != nil {
		return err
	}
	report := l.Status(ctx)
	if err := s.print(std.out, report); err != nil || !s.Watch {
		return err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := c.open(); err != nil { // taken down meanwhile
			return err
		}
		now := l.Status(ctx)
		if ctx.Err() != nil || reflect.DeepEqual(visible(now), visible(report)) {
			continue
		}
		report = now
		if err := s.print(std.out, report); err != nil {
			return err
		}
	}
}

// visible is a report without what no column shows.
func visible(r lab.Report) []lab.Row {
	rows := append([]lab.Row(nil), r.Nodes...)
	for i := range rows {
		rows[i].Status = lab.Status{WaitsFor: r.Nodes[i].Status.WaitsFor}
	}
	return rows
}

func (s *statusCmd) print(w io.Writer, r lab.Report) error {
	if s.Output == "json" {
		return json.NewEncoder(w).Encode(r)
	}
	if s.Watch && terminal(w) {
		fmt.Fprint(w, "\x1b[H\x1b[2J")
	}
	return printTable(w, r.Nodes, slices.ContainsFunc(r.Nodes, func(r lab.Row) bool { return r.Status.WaitsFor != "" }))
}

// printTable shows nodes, one a line; waits adds what each waits for.
func printTable(w io.Writer, rows []lab.Row, waits bool) error {
	t := table.Table{
		Head:  []string{"NODE", "MAC", "SEGMENT", "PHASE", "WAY", "ADDRESS", "CONTROLLER", "TOOK"},
		Wraps: waits, Dispensable: []string{"MAC", "CONTROLLER", "SEGMENT"},
	}
	if waits {
		t.Head = append(t.Head, "WAITS FOR")
	}
	for _, r := range rows {
		took := "-"
		if r.ManagedAfterMS > 0 {
			took = fmt.Sprintf("%.1fs", float64(r.ManagedAfterMS)/1000)
		}
		cells := []string{r.Name, r.MAC, r.Segment, r.Phase, dash(r.Way), dash(r.Address), dash(r.Controller), took, dash(r.Status.WaitsFor)}
		t.Rows = append(t.Rows, cells[:len(t.Head)])
	}
	return t.Print(w)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
