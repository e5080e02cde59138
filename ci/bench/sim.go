package main

import (
	"context"
	"encoding/json"
	"fmt"
)

// Times of simulated grids are processor time: on one core of an idle machine
// the clock shows the same.
var (
	simHour   = bound{Name: "1000 simulated nodes for an hour, processor time", Limit: 5, Unit: "s"}
	simStorm  = bound{Name: "10 000 simulated nodes boot through a storm, processor time", Limit: 30, Unit: "s"}
	simRepeat = bound{Name: "histories of one seed that are the same, of 100", Limit: 100, AtLeast: true}
)

func measureSim(ctx context.Context, b *bench) []result {
	results := []result{b.life(ctx, simHour, "--nodes", "1000", "--hours", "1", "--seed", "42", "--boot", "10s")}
	results = append(results, b.life(ctx, simStorm, "--nodes", "10000", "--for", "1s", "--seed", "42"))
	return append(results, b.repeat(ctx))
}

// simulated is what of g8lab sim -o json is looked at.
type simulated struct {
	Verdict string
	CPU     float64 `json:"cpu_seconds"`
	History string
}

func (b *bench) sim(ctx context.Context, args ...string) (simulated, error) {
	var s simulated
	out, err := b.g8lab(ctx, append([]string{"sim", "-o", "json"}, args...)...)
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	return s, err
}

// life measures one simulated run.
func (b *bench) life(ctx context.Context, limit bound, args ...string) result {
	s, err := b.sim(ctx, args...)
	if err != nil {
		return limit.failed(err)
	}
	return limit.measured(s.CPU)
}

// repeated is how often a run with faults is run.
const repeated = 100

// repeat counts the histories of one seed that are the one of the first run.
// Each run is a process of its own: what differs between processes counts.
func (b *bench) repeat(ctx context.Context) result {
	var first string
	same := 0
	for i := range repeated {
		s, err := b.sim(ctx, "--swarm", "--seed", "7")
		if err == nil && s.History == "" {
			err = fmt.Errorf("run %d has no history", i+1)
		}
		if err != nil {
			return simRepeat.failed(err)
		}
		if i == 0 {
			first = s.History
		}
		if s.History == first {
			same++
		}
	}
	return simRepeat.measured(float64(same))
}
