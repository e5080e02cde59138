package swarm

import (
	"maps"
	"slices"

	"github.com/g8os/g8os/lab/sim"
)

// Enough seeds in which each of sim.Reaches has to have happened: fewer that
// are drawn may miss one by chance.
const Enough = 200

// Coverage is how often runs came to each of sim.Reaches.
type Coverage map[string]int

// Add adds what a run came to.
func (c Coverage) Add(o Outcome) {
	for what, times := range o.Reached {
		c[what] += times
	}
}

// Missed lists what never happened and could have, given the kinds of faults
// that were left out.
func (c Coverage) Missed(without []string) []string {
	var out []string
	for _, what := range sim.Reaches() {
		if c[what] == 0 && !slices.ContainsFunc(without, func(kind string) bool { return what == "fault "+kind }) {
			out = append(out, what)
		}
	}
	return out
}

// Rarest lists what happened, the rarest first.
func (c Coverage) Rarest() []string {
	return slices.SortedFunc(maps.Keys(c), func(a, b string) int {
		if c[a] != c[b] {
			return c[a] - c[b]
		}
		if a < b {
			return -1
		}
		return 1
	})
}
