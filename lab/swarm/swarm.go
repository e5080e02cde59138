// Package swarm runs simulated grids, a seed each, and says which fail: what is
// run may be drawn from the seed (Draw) or be one thing with many seeds.
//
//	seed ─▶ draw ─▶ record.Head ─▶ run, and once more ─▶ Outcome, in order of seeds
//	                                                   └▶ Coverage of all
//
// It promises that the same seed gives the same Outcome, and demands it where
// it is asked to run everything twice; that outcomes come in the order of
// their seeds, however many worlds run side by side; and that all it needs to
// repeat one is in its Head. It prints nothing, and shrinks nothing: lab/run/simulated does.
//
// That a run drawn from a seed leaves much out, and others do not: Groce et
// al., Swarm Testing, ISSTA 2012.
package swarm

import (
	"context"
	"fmt"
	"sync"

	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/run/simulated"
)

// Outcome is what became of a seed.
type Outcome struct {
	Head    record.Head
	Result  *run.Result
	Hash    string // of the history
	Again   string // of the history of the second run; empty: there was none
	Events  uint64
	Reached map[string]int // of sim.Reaches, how often
	Err     error          // it could not be run
}

// Passed says whether nothing is wrong.
func (o Outcome) Passed() bool { return o.Why() == "" }

// Repeats says whether a second run, if there was one, gave the same history.
func (o Outcome) Repeats() bool { return o.Again == "" || o.Again == o.Hash }

// Why says in one line what is wrong; empty when nothing is.
func (o Outcome) Why() string {
	switch {
	case o.Err != nil:
		return o.Err.Error()
	case !o.Repeats():
		return fmt.Sprintf("two runs of one seed differ: histories %s and %s", o.Hash, o.Again)
	case o.Result.Verdict != run.Passed:
		return fmt.Sprintf("%s: %s", o.Result.Verdict, o.Result.Why)
	}
	return ""
}

// Options of a swarm. Seeds are From to To, both included.
type Options struct {
	From, To uint64
	Draw     func(seed uint64) (record.Head, error)
	Twice    bool // run each seed twice, and compare
	Procs    int  // worlds side by side; 0: one
	KeepOn   bool // also after one has failed
}

// Run runs seeds and calls told with each outcome, in the order of seeds, from
// one goroutine. It ends after the first that fails, unless KeepOn; with the
// cause when ctx ends.
func Run(ctx context.Context, o Options, told func(Outcome)) error {
	parent := ctx
	ctx, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	for out := range start(ctx, o, &wait) {
		outcome := <-out
		if err := context.Cause(parent); err != nil {
			return err
		}
		told(outcome)
		if !outcome.Passed() && !o.KeepOn {
			return nil
		}
	}
	return context.Cause(parent)
}

// start has Procs worlds at work at a time. What it returns yields a channel a
// seed, in their order.
func start(ctx context.Context, o Options, wait *sync.WaitGroup) <-chan (<-chan Outcome) {
	order := make(chan (<-chan Outcome), max(o.Procs, 1)-1) // with the one that is waited for: Procs
	wait.Go(func() {
		defer close(order)
		for seed := o.From; ; seed++ {
			out := make(chan Outcome, 1)
			select {
			case order <- out:
			case <-ctx.Done():
				return
			}
			wait.Go(func() { out <- try(ctx, o, seed) })
			if seed == o.To {
				return
			}
		}
	})
	return order
}

// try runs one seed.
func try(ctx context.Context, o Options, seed uint64) Outcome {
	h, err := o.Draw(seed)
	if err != nil {
		h.Seed = seed
		return Outcome{Head: h, Err: fmt.Errorf("seed %d: %w", seed, err)}
	}
	first := Once(ctx, h)
	if o.Twice && first.Err == nil {
		second := Once(ctx, h)
		first.Again, first.Err = second.Hash, second.Err
	}
	return first
}

// Once runs what a head says.
func Once(ctx context.Context, h record.Head) Outcome {
	o := Outcome{Head: h}
	w, err := simulated.Open(h)
	if err == nil {
		o.Result, err = run.Run(ctx, w, h.Schedule, h.Options)
	}
	if err != nil {
		o.Err = fmt.Errorf("seed %d: %w", h.Seed, err)
		return o
	}
	o.Hash, o.Events, o.Reached = simulated.Hash(w), w.Events(), w.Reached()
	return o
}
