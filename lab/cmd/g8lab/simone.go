package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/invariant"
	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/run/simulated"
	"github.com/g8os/g8os/lab/sim"
	"github.com/g8os/g8os/lab/swarm"
)

// life is what is said of one run.
type life struct {
	Seed       uint64                `json:"seed"`
	Topology   string                `json:"topology"` // where it comes from
	Nodes      int                   `json:"nodes"`
	Segments   int                   `json:"segments"`
	ACs        int                   `json:"acs"`
	Verdict    runs.Verdict          `json:"verdict"`
	Why        string                `json:"why,omitempty"`
	Virtual    float64               `json:"virtual_seconds"`
	Real       float64               `json:"real_seconds"`
	CPU        float64               `json:"cpu_seconds"`
	Events     uint64                `json:"events"`
	Hash       string                `json:"history"`
	Again      string                `json:"history_again,omitempty"`
	Faults     int                   `json:"faults"`
	Jobs       int                   `json:"jobs"`
	Checks     int                   `json:"checks"`
	Violations []invariant.Violation `json:"violations"`
	Record     string                `json:"record,omitempty"`
	Production string                `json:"production"`
	Replaced   string                `json:"replaced"`
}

// one runs a grid with one seed.
func (s *simCmd) one(ctx context.Context, std streams) error {
	b, err := s.blueprint(std.in)
	if err != nil {
		return exitError{exitUsage, err}
	}
	seed := uint64(1)
	if s.Seed != nil {
		seed = *s.Seed
	}
	h, err := s.draw(b, seed)
	if err != nil {
		return exitError{exitUsage, err}
	}
	w, closeLog, err := s.open(h)
	if err != nil {
		return exitError{exitUsage, err}
	}
	l := &life{Seed: seed, Topology: b.origin, Nodes: len(w.Plan().Nodes), Segments: len(w.Plan().Segments), ACs: len(w.Plan().ACs),
		Record: s.Record, Production: sim.Production, Replaced: sim.Replaced}
	out := std.out
	if s.Output == "json" {
		std.out = io.Discard
	}
	l.head(std.out)
	used := cpuTime()
	p := performance{grid: w, head: h, path: s.Record, hash: func() string { return simulated.Hash(w) }, say: func(_ io.Writer, r *runs.Result, e record.End) {
		l.take(r, e, w, cpuTime()-used)
	}}
	end, err := p.perform(ctx, std)
	err = errors.Join(err, closeLog())
	if end == nil {
		return err
	}
	if s.twice() && ctx.Err() == nil {
		again := swarm.Once(ctx, h)
		l.Again, err = again.Hash, errors.Join(err, again.Err)
		if l.Again != l.Hash {
			err = errors.Join(err, fmt.Errorf("seed %d: two runs differ: histories %s and %s", seed, l.Hash, l.Again))
		}
	}
	if s.Output == "json" {
		return errors.Join(err, json.NewEncoder(out).Encode(l))
	}
	l.print(out)
	return err
}

// open makes the grid, and what has to be closed after it.
func (s *simCmd) open(h record.Head) (*sim.World, func() error, error) {
	if s.Log == "" {
		w, err := simulated.Open(h)
		return w, func() error { return nil }, err
	}
	_, plan, err := h.Plan(h.Lab)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Create(s.Log)
	if err != nil {
		return nil, nil, err
	}
	w, err := sim.New(plan, sim.Options{Seed: h.Seed, Boot: time.Duration(h.Boot), Log: f})
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return w, f.Close, nil
}

func (l *life) take(r *runs.Result, e record.End, w *sim.World, used time.Duration) {
	l.Verdict, l.Why, l.Hash, l.Events = r.Verdict, r.Why, e.Hash, w.Events()
	l.Virtual, l.Real, l.CPU = r.Ended.Seconds(), e.Took.Seconds(), used.Seconds()
	l.Faults, l.Jobs, l.Checks, l.Violations = len(r.Faults), r.Jobs, r.Checks, r.Violations
	if l.Violations == nil {
		l.Violations = []invariant.Violation{}
	}
}

func (l *life) head(w io.Writer) {
	fmt.Fprintf(w, "%s on %s, %s (%s), seed %d\n", count(l.Nodes, "node"), count(l.Segments, "segment"), count(l.ACs, "AC"), l.Topology, l.Seed)
}

func (l *life) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s of virtual time in %.1f s, %.0f × real time; %.1f s of processor time\n", l.Verdict,
		seconds(l.Virtual), l.Real, l.Virtual/l.Real, l.CPU)
	fmt.Fprintf(w, "events: %d, %.0f a second; %s, %s\n", l.Events, float64(l.Events)/l.Real, count(l.Faults, "fault"), count(l.Jobs, "job"))
	fmt.Fprintf(w, "history: %s%s\n", l.Hash, map[bool]string{true: ", the same when run again"}[l.Again == l.Hash])
	fmt.Fprintf(w, "invariants: %d, each checked %s; %s\n", len(invariant.All()), count(l.Checks, "time"), count(len(l.Violations), "violation"))
	for i, v := range l.Violations {
		if i == maxShown {
			fmt.Fprintf(w, "  … and %d more\n", len(l.Violations)-maxShown)
			break
		}
		fmt.Fprintf(w, "  %s\n", v)
	}
	fmt.Fprintf(w, "production code: %s\nreplaced: %s\n", l.Production, l.Replaced)
	if l.Record != "" {
		fmt.Fprintf(w, "record: %s; bin/g8lab report %s makes a page of it\n", l.Record, l.Record)
	}
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}

// cpuTime is what this process has used of processors so far.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
