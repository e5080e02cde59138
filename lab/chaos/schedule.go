package chaos

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/topology"
)

// Left is a kind that was left out.
type Left struct {
	Kind, Why string
}

func (l Left) String() string { return l.Kind + ": " + l.Why }

// Schedule draws the schedule of a plan for a grid at a fidelity.
func (p Plan) Schedule(grid *topology.Plan, fidelity string, o Options) (fault.Schedule, []Left, error) {
	if err := o.Check(); err != nil {
		return nil, nil, err
	}
	d := &drawer{grid, fidelity, o.Seed}
	var kinds []Weighted
	var left []Left
	for _, w := range p.Kinds {
		if why := d.lacks(w.Kind); why != "" {
			left = append(left, Left{w.Kind, why})
			continue
		}
		kinds = append(kinds, w)
	}
	if len(kinds) == 0 {
		return nil, left, fmt.Errorf("chaos %s: nothing of it can be had in this grid at fidelity %s; the first: %s", p.Name, fidelity, left[0])
	}
	var s fault.Schedule
	busy := busy{}
	for slot := range int(o.For / o.Every) {
		for _, t := range d.slot(slot, kinds, p.Crowd, o) {
			if len(s) < maxFaults && busy.take(t, d.acs()) {
				s = append(s, t)
			}
		}
	}
	return s, left, nil
}

// drawer draws faults for a grid.
type drawer struct {
	grid     *topology.Plan
	fidelity string
	seed     uint64
}

func (d *drawer) acs() []string {
	var all []string
	for _, m := range d.grid.ACs {
		all = append(all, m.Name)
	}
	return all
}

// stream is the random stream of one draw.
func (d *drawer) stream(what string, slot int) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", what, slot)
	return rand.New(rand.NewPCG(d.seed, h.Sum64()))
}

// lacks says why a kind cannot be had, empty when it can.
func (d *drawer) lacks(kind string) string {
	k, err := fault.Find(kind)
	if err != nil {
		return err.Error()
	}
	if why, not := k.Not[d.fidelity]; not {
		return why
	}
	f, why := d.fault(k, d.stream("lacks "+kind, 0))
	if why != "" {
		return why
	}
	if err := fault.Check(f, d.grid, d.fidelity); err != nil {
		return err.Error()
	}
	return ""
}

// slot draws what begins in the n-th of the times that every fault has.
func (d *drawer) slot(n int, kinds []Weighted, crowd bool, o Options) []fault.Timed {
	k, err := fault.Find(pick(kinds, d.stream("kind", n)))
	if err != nil {
		return nil
	}
	when := d.stream("time "+k.Name, n)
	at := time.Duration(n)*o.Every + tenths(o.Every/2, when)
	lasts := min(o.Every/4+tenths(o.Every*5/4, when), o.For-at)
	f, why := d.fault(k, d.stream("fault "+k.Name, n))
	if why != "" || lasts < time.Second && !k.Once {
		return nil
	}
	if !k.Once {
		f.For = fault.Duration(lasts)
	}
	all := []fault.Timed{{At: fault.Duration(at), Fault: f}}
	if crowd && k.Class == fault.Node {
		all = d.crowd(all[0], d.stream("crowd "+k.Name, n))
	}
	return all
}

// tenths draws a time up to most, in tenths of a second.
func tenths(most time.Duration, r *rand.Rand) time.Duration {
	const tenth = time.Second / 10
	return time.Duration(r.Int64N(int64(most/tenth)+1)) * tenth
}

// crowd makes a fault of one node one of several: mostly few, now and then all.
func (d *drawer) crowd(t fault.Timed, r *rand.Rand) []fault.Timed {
	nodes := d.grid.Nodes
	count := 1 + r.IntN(max(len(nodes)/2, 1))
	if r.IntN(4) == 0 {
		count = len(nodes)
	}
	var all []fault.Timed
	for _, i := range r.Perm(len(nodes))[:count] {
		one := t
		one.Fault.On = nodes[i].Name
		if fault.Check(one.Fault, d.grid, d.fidelity) == nil { // it may have no such NIC, or be there already
			all = append(all, one)
		}
	}
	return all
}

// pick draws a kind by weight.
func pick(kinds []Weighted, r *rand.Rand) string {
	total := 0
	for _, w := range kinds {
		total += w.Weight
	}
	at := r.IntN(total)
	for _, w := range kinds {
		if at -= w.Weight; at < 0 {
			return w.Kind
		}
	}
	return kinds[len(kinds)-1].Kind
}
