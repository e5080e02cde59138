package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/run/simulated"
	"github.com/g8os/g8os/lab/sim"
	"github.com/g8os/g8os/lab/swarm"
)

// tries bound the shrinking of a run.
const tries = 400

// crowd is what is said of many seeds.
type crowd struct {
	Seeds      string         `json:"seeds"`
	Ran        int            `json:"ran"`
	Twice      bool           `json:"twice"`
	Failed     []failure      `json:"failed"`
	Virtual    float64        `json:"virtual_seconds"`
	Real       float64        `json:"real_seconds"`
	CPU        float64        `json:"cpu_seconds"`
	Events     uint64         `json:"events"`
	Checks     int            `json:"checks"`
	Reached    swarm.Coverage `json:"reached"`
	Missed     []string       `json:"missed"`
	Production string         `json:"production"`
	Replaced   string         `json:"replaced"`

	first *swarm.Outcome // that failed
}

type failure struct {
	Seed uint64 `json:"seed"`
	Why  string `json:"why"`
}

// many runs one seed after the other.
func (s *simCmd) many(ctx context.Context, std streams) error {
	b, err := s.blueprint(std.in)
	from, to, _ := s.seeds() // checked
	if err == nil {
		_, err = s.draw(b, from)
	}
	if err != nil {
		return exitError{exitUsage, err}
	}
	out := std.out
	if s.Output == "json" {
		std.out = io.Discard
	}
	c := &crowd{Seeds: s.Seeds, Twice: s.twice(), Failed: []failure{}, Reached: swarm.Coverage{}, Production: sim.Production, Replaced: sim.Replaced}
	fmt.Fprintf(std.out, "seeds %d..%d, each %s%s; the grid: %s\n", from, to, map[bool]string{true: "twice", false: "once"}[c.Twice], side(s.Procs), b.origin)
	shown := newProgress(std.out, "")
	began, used := time.Now(), cpuTime()
	o := swarm.Options{From: from, To: to, Draw: func(seed uint64) (record.Head, error) { return s.draw(b, seed) }, Twice: c.Twice, Procs: s.Procs, KeepOn: s.Keep}
	err = swarm.Run(ctx, o, func(o swarm.Outcome) {
		c.add(o)
		shown.seed(time.Since(began), o, c, to-from+1)
	})
	shown.clear()
	c.Real, c.CPU = time.Since(began).Seconds(), (cpuTime() - used).Seconds()
	if err != nil {
		return interruption{fmt.Errorf("%s of %d were run", count(c.Ran, "seed"), to-from+1)}
	}
	c.Missed = s.missed(c)
	c.print(std.out, s.Swarm)
	if s.Output == "json" {
		err = json.NewEncoder(out).Encode(c)
	}
	return errors.Join(err, s.verdict(ctx, c, std))
}

func side(procs int) string {
	if procs == 1 {
		return ""
	}
	return fmt.Sprintf(", %d at a time", procs)
}

func (c *crowd) add(o swarm.Outcome) {
	c.Ran++
	c.Reached.Add(o)
	c.Events += o.Events
	if o.Result != nil {
		times := 1
		if o.Again != "" {
			times = 2
		}
		c.Virtual += o.Result.Ended.Seconds() * float64(times)
		c.Checks += o.Result.Checks * times
	}
	if o.Passed() {
		return
	}
	c.Failed = append(c.Failed, failure{o.Head.Seed, o.Why()})
	if c.first == nil {
		c.first = &o
	}
}

// seed shows what became of one: a line if it failed, else how things stand.
func (p *progress) seed(at time.Duration, o swarm.Outcome, c *crowd, all uint64) {
	if !o.Passed() {
		p.line(at, "seed %d: %s", o.Head.Seed, o.Why())
		return
	}
	line := fmt.Sprintf("%d of %d seeds, %d failed", c.Ran, all, len(c.Failed))
	switch {
	case p.live:
		p.draw(p.stamp(at) + line)
	case at-p.said >= standing:
		p.said = at
		p.line(at, "%s", line)
	}
}

// missed is what never happened; nil when too few seeds were drawn to say so.
func (s *simCmd) missed(c *crowd) []string {
	if !s.Swarm || c.Ran < swarm.Enough {
		return nil
	}
	return c.Reached.Missed(s.Without)
}

// rarest is how many of the things that happened are named.
const rarest = 3

func (c *crowd) print(w io.Writer, drawn bool) {
	fmt.Fprintf(w, "%d of %s passed%s: %s of virtual time in %.1f s, %.0f × real time; %.1f s of processor time\n", c.Ran-len(c.Failed), count(c.Ran, "seed"),
		map[bool]string{true: ", their histories the same when run again"}[c.Twice && len(c.Failed) == 0], seconds(c.Virtual), c.Real, c.Virtual/c.Real, c.CPU)
	fmt.Fprintf(w, "events: %d; the invariants were checked %s\n", c.Events, count(c.Checks, "time"))
	if drawn {
		fmt.Fprintf(w, "coverage: %d of %d things that may happen have; the rarest:", len(c.Reached), len(sim.Reaches()))
		for i, what := range c.Reached.Rarest() {
			if i < rarest {
				fmt.Fprintf(w, " %s (%d);", what, c.Reached[what])
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "production code: %s\nreplaced: %s\n", c.Production, c.Replaced)
}

// verdict is the exit status: the first seed that failed is made small, and
// recorded.
func (s *simCmd) verdict(ctx context.Context, c *crowd, std streams) error {
	var err error
	if len(c.Missed) > 0 {
		err = fmt.Errorf("never happened in %d seeds: %s", c.Ran, c.Missed)
	}
	if c.first == nil {
		return err
	}
	err = errors.Join(err, fmt.Errorf("%d of %s failed; the first: %d: %s", len(c.Failed), count(c.Ran, "seed"), c.Failed[0].Seed, c.Failed[0].Why))
	if c.first.Result == nil {
		return err
	}
	h := c.first.Head
	if c.first.Result.Verdict == runs.Violated {
		h = s.small(ctx, c.first, std.out)
	}
	path := s.Record
	if path == "" {
		path = fmt.Sprintf("g8lab-sim-%d%s", h.Seed, record.Extension)
	}
	end, runErr := performSimulated(ctx, h, path, std)
	if end == nil {
		return errors.Join(err, runErr)
	}
	return remedied{err, []string{"bin/g8lab replay " + path + " runs it again", "bin/g8lab report " + path + " shows it"}}
}

// small is the smallest run found that violates what the one of an outcome did.
func (s *simCmd) small(ctx context.Context, o *swarm.Outcome, out io.Writer) record.Head {
	began := time.Now()
	fmt.Fprintf(out, "seed %d is being shrunk, from %s, in at most %d tries\n", o.Head.Seed, count(len(o.Head.Schedule), "fault"), tries)
	h, r, err := simulated.Shrink(ctx, o.Head, o.Result.Violations[0].Invariant, tries)
	if err != nil || !r.Fails {
		return o.Head
	}
	fmt.Fprintf(out, "%s and %s are left after %d tries in %.1f s:\n%s", count(len(h.Schedule), "fault"), count(r.Nodes, "node"), r.Tries, time.Since(began).Seconds(), h.Schedule)
	h.What = "shrunk " + h.What
	return h
}
