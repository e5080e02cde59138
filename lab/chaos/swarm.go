package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/topology"
)

// Swarm draws a schedule from a seed alone: a random part of all kinds is
// switched off, the rest have wildly different weights, and how often faults
// come is drawn too. Runs that each leave much out find more than runs that all
// do everything: Groce et al., Swarm Testing, ISSTA 2012.
//
// All faults have ended after length: what follows is for the grid to recover.
func Swarm(seed uint64, grid *topology.Plan, fidelity string, length time.Duration) (fault.Schedule, []Left, error) {
	d := &drawer{grid, fidelity, seed}
	p := Plan{Name: fmt.Sprintf("swarm of seed %d", seed), Crowd: d.stream("swarm crowd", 0).IntN(2) == 0}
	off := d.stream("swarm off", 0).IntN(maxOff)
	var left []Left
	for i, k := range fault.Kinds() {
		if d.stream("swarm switch "+k.Name, i).IntN(100) < off {
			left = append(left, Left{k.Name, "switched off by the seed"})
			continue
		}
		p.Kinds = append(p.Kinds, Weighted{k.Name, weight(d.stream("swarm weight "+k.Name, i))})
	}
	every := time.Second << d.stream("swarm every", 0).IntN(maxEvery)
	s, more, err := p.Schedule(grid, fidelity, Options{Seed: seed, Every: min(every, length), For: length})
	return s, append(left, more...), err
}

const (
	maxOff    = 90 // percent of the kinds that are switched off, at most
	maxEvery  = 7  // faults come each 1 s to 64 s
	maxWeight = 7  // 1 to 64
)

func weight(r *rand.Rand) int { return 1 << r.IntN(maxWeight) }
