package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/real"
	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/run/simulated"
	"github.com/g8os/g8os/lab/topology"
)

type replayCmd struct {
	File     string `arg:"" name:"record" type:"path" help:"Record of a run."`
	Fidelity string `enum:",sim,netns,vm" default:"" placeholder:"sim|netns|vm" help:"What the nodes are made of; default: as they were."`
	Record   string `type:"path" placeholder:"FILE" help:"Where the record of this run goes; default: a new file here, none for a simulated one."`
	Shrink   bool   `help:"Look for the smallest run that violates the same; simulated runs only."`
	Tries    int    `default:"200" help:"How many smaller runs are tried at most (${default})."`
	Bin      string `type:"path" placeholder:"DIR" help:"Where g8os_core, g8os_ac and gocryptfs are; default: beside g8lab."`
	Image    string `type:"path" placeholder:"DIR" help:"Where the image is that virtual machines boot; default: build/."`
}

func (r *replayCmd) Run(ctx context.Context, std streams) error {
	rec, err := record.Read(r.File)
	if err != nil {
		return exitError{exitUsage, err}
	}
	fidelity := cmp.Or(r.Fidelity, rec.Fidelity)
	err = canReplay(rec, fidelity)
	if err == nil && r.Shrink && fidelity != topology.Simulated {
		err = fmt.Errorf("--shrink at fidelity %s: only a simulated run fails the same way each time; want --fidelity sim", fidelity)
	}
	if err == nil && r.Tries < 1 {
		err = fmt.Errorf("--tries %d: want 1 or more", r.Tries)
	}
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("replay %s: %w", r.File, err)}
	}
	fmt.Fprintf(std.out, "%s, seed %d, recorded at %s as %s, once more at %s\n", rec.What, rec.Seed, rec.Fidelity, rec.End.Verdict, fidelity)
	if fidelity == topology.Simulated {
		return r.simulate(ctx, rec, std)
	}
	return r.live(ctx, rec, fidelity, std)
}

// canReplay says whether every fault of a record can be had at a fidelity.
func canReplay(rec *record.Record, fidelity string) error {
	_, plan, err := rec.Plan(rec.Lab)
	if err != nil {
		return err
	}
	for _, t := range rec.Schedule {
		if err := fault.Check(t.Fault, plan, fidelity); err != nil {
			return fmt.Errorf("at %s: %w", t.At, err)
		}
	}
	return nil
}

// simulate repeats a simulated run exactly, and says so or not.
func (r *replayCmd) simulate(ctx context.Context, rec *record.Record, std streams) error {
	head := rec.Head
	head.Fidelity = topology.Simulated
	end, err := performSimulated(ctx, head, r.Record, std)
	if end != nil && end.Verdict == runs.Violated && r.Shrink {
		return errors.Join(err, r.shrink(ctx, head, std))
	}
	if end == nil || ctx.Err() != nil || rec.End.Hash == "" {
		return err
	}
	if end.Hash != rec.End.Hash {
		return errors.Join(err, fmt.Errorf("replay %s: the history is another: %s, recorded by g8lab %s was %s", r.File, end.Hash, rec.MadeBy, rec.End.Hash))
	}
	fmt.Fprintln(std.out, "the history is the one that was recorded")
	return err
}

// performSimulated runs on a simulated grid of its own; path is of the record,
// empty for none.
func performSimulated(ctx context.Context, h record.Head, path string, std streams) (*record.End, error) {
	w, err := simulated.Open(h)
	if err != nil {
		return nil, err
	}
	return performance{grid: w, head: h, path: path, hash: func() string { return simulated.Hash(w) }}.perform(ctx, std)
}

// live runs the schedule of a record on a lab of its own.
func (r *replayCmd) live(ctx context.Context, rec *record.Record, fidelity string, std streams) error {
	name := fmt.Sprintf("replay-%d", os.Getpid())
	t, _, err := rec.Plan(name)
	if err == nil {
		err = t.SetFidelity(fidelity)
	}
	if err != nil {
		return err
	}
	begun := time.Now()
	g, err := real.Up(ctx, t, lab.Options{Name: name, BinDir: r.Bin, Image: r.Image, Progress: func(line string) {
		fmt.Fprintf(std.out, "%5.1fs  %s\n", time.Since(begun).Seconds(), line)
	}})
	if err != nil {
		return errors.Join(err, lab.Down(context.WithoutCancel(ctx), name, lab.DownOptions{}))
	}
	head := rec.Head
	head.Fidelity, head.Lab, head.Options.Ready = fidelity, name, true
	if fidelity != rec.Fidelity && time.Duration(head.Options.Settle) < runs.DefaultSettle(fidelity) {
		head.Options.Settle = 0 // what is enough for a simulated grid is not for a machine
	}
	path := recordPath(r.Record, "replay", begun)
	_, err = performance{grid: g, head: head, path: path, hash: func() string { return "" }}.perform(ctx, std)
	return errors.Join(err, g.Close(context.WithoutCancel(ctx)))
}
