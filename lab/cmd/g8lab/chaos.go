package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/internal/table"
	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/chaos"
	"github.com/g8os/g8os/lab/fault"
	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
)

type chaosCmd struct {
	Plan    string        `arg:"" help:"Which faults come; g8lab chaos list lists the plans."`
	Every   time.Duration `default:"20s" help:"A fault begins about so often (${default})."`
	For     time.Duration `default:"5m" help:"How long faults come (${default})."`
	Seed    *uint64       `placeholder:"N" help:"The same seed gives the same faults at the same times; default: a new one, which is said."`
	Jobs    time.Duration `default:"10s" help:"A job is started about so often, and has to be accounted for; 0: none (${default})."`
	Settle  time.Duration `placeholder:"TIME" help:"How long the grid has to recover in the end; default: 1m, 3m for machines."`
	Record  string        `type:"path" placeholder:"FILE" help:"Where the record goes; default: a new file here."`
	Packets bool          `help:"Capture the packets of each segment, into files beside the record."`
}

func (h *chaosCmd) Run(ctx context.Context, c *cli, std streams) error {
	if h.Plan == "list" {
		return listPlans(std.out)
	}
	now := time.Now()
	o := chaos.Options{Seed: uint64(now.UnixNano() % 1e6), Every: h.Every, For: h.For} // a seed that is short enough to be typed
	if h.Seed != nil {
		o.Seed = *h.Seed
	}
	plan, err := chaos.Find(h.Plan)
	if err == nil {
		err = o.Check()
	}
	if err != nil {
		return exitError{exitUsage, err}
	}
	g, err := c.grid()
	if err != nil {
		return err
	}
	schedule, left, err := plan.Schedule(g.Plan(), g.Fidelity(), o)
	if err != nil {
		return exitError{exitUsage, err}
	}
	text, err := g.Plan().YAML()
	if err != nil {
		return err
	}
	what := "chaos " + plan.Name
	p := performance{grid: g, path: recordPath(h.Record, what, now), hash: func() string { return "" }, head: record.Head{
		What: what, Fidelity: g.Fidelity(), Lab: c.Lab, Seed: o.Seed, Topology: string(text), Schedule: schedule,
		Options: runs.Options{For: fault.Duration(h.For), Settle: fault.Duration(h.Settle), Ready: true, Jobs: fault.Duration(h.Jobs), Seed: o.Seed},
	}}
	if h.Packets {
		p.during = func(ctx context.Context) (func() ([]string, error), error) { return captureAll(ctx, g.Lab(), p.path) }
	}
	h.announce(std.out, p.head, left)
	_, err = p.perform(ctx, std)
	return err
}

func (h *chaosCmd) announce(w io.Writer, head record.Head, left []chaos.Left) {
	fmt.Fprintf(w, "%s on lab %s (%s): %s in %s, seed %d\n", head.What, head.Lab, head.Fidelity, count(len(head.Schedule), "fault"), h.For, head.Seed)
	for _, l := range left {
		fmt.Fprintf(w, "left out: %s\n", l)
	}
}

func listPlans(w io.Writer) error {
	t := table.Table{Head: []string{"PLAN", "WHAT", "KINDS"}, Wraps: true}
	for _, p := range chaos.Plans() {
		kinds := fmt.Sprintf("all %d", len(p.Kinds))
		if p.Name != "everything" {
			var names []string
			for _, k := range p.Kinds {
				names = append(names, k.Kind)
			}
			kinds = strings.Join(names, " ")
		}
		t.Rows = append(t.Rows, []string{p.Name, p.Doc, kinds})
	}
	return t.Print(w)
}

// capturedPackets bounds a capture of a segment.
const capturedPackets = 1000000

// captureAll takes the packets of every segment until finish is called, which
// returns the names of the files, relative to the record.
func captureAll(ctx context.Context, l *lab.Lab, path string) (finish func() ([]string, error), err error) {
	ctx, stop := context.WithCancel(ctx)
	var files []string
	var wait, begun sync.WaitGroup
	errs := make([]error, len(l.Segments()))
	for i, s := range l.Segments() {
		f, err := os.Create(beside(path, "."+s.Name()+".pcap"))
		if err != nil {
			stop()
			wait.Wait()
			return nil, fmt.Errorf("capture %s: %w", s.Name(), err)
		}
		files = append(files, filepath.Base(f.Name()))
		begun.Add(1)
		wait.Go(func() {
			began := sync.OnceFunc(begun.Done)
			_, err := l.Capture(ctx, s.Name(), f, lab.CaptureOptions{Packets: capturedPackets, Began: began})
			began() // also when it never did
			errs[i] = errors.Join(err, f.Close())
		})
	}
	begun.Wait()
	return func() ([]string, error) {
		stop()
		wait.Wait()
		return files, errors.Join(errs...)
	}, nil
}
