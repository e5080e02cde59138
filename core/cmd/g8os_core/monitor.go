package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/monitor"
	"github.com/g8os/g8os/internal/shown"
)

// factsCmd and topCmd read the machine themselves: they work also where no
// g8os_core runs.
type factsCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run prints the facts.
func (f *factsCmd) Run(ctx context.Context, out io.Writer) error {
	facts, err := monitor.FactsOf(ctx, monitor.Paths{})
	if err != nil {
		return err
	}
	if f.Output == "json" {
		return json.NewEncoder(out).Encode(facts)
	}
	return shown.Facts(out, facts)
}

type topCmd struct {
	Interval time.Duration `default:"1s" help:"What is measured over."`
	Watch    bool          `short:"w" help:"Go on until Ctrl-C."`
	Limit    int           `short:"n" default:"20" help:"So many processes and cgroups."`
	Output   string        `short:"o" enum:"table,json" default:"table" help:"table or json; one answer a line."`
}

// Run prints what uses the machine.
func (t *topCmd) Run(ctx context.Context, out io.Writer) error {
	if t.Interval < time.Millisecond || t.Limit < 1 {
		return usageError{fmt.Errorf("top: --interval is %s and --limit %d: want 100ms and 1, or more", t.Interval, t.Limit)}
	}
	args := api.TopArgs{IntervalMS: t.Interval.Milliseconds(), Follow: t.Watch, Limit: t.Limit}
	return monitor.Top(ctx, monitor.Paths{}, args, nil, func(now api.Top) error {
		if t.Output == "json" {
			return json.NewEncoder(out).Encode(now)
		}
		return shown.Top(out, now)
	})
}
