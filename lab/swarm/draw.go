package swarm

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/chaos"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/sim"
	"github.com/g8os/g8os/lab/topology"
)

// Name of the lab that all drawn grids are: their MACs follow from it.
const Name = "sim"

// Shortest time in which the faults of a drawn run come.
const Shortest = 10 * time.Second

// Drawing says what is not drawn.
type Drawing struct {
	For    time.Duration // how long faults come; at least Shortest
	Settle time.Duration // how long the grid has to recover
	// Without are kinds of faults that do not come.
	Without []string
}

// Draw makes the run of a seed: the grid, how its nodes get power, what their
// clocks say, how good its links are, what goes wrong.
func Draw(seed uint64, o Drawing) (record.Head, error) {
	if o.For < Shortest {
		return record.Head{}, fmt.Errorf("swarm: faults for %s: want %s or more", o.For, Shortest)
	}
	d := drawer{seed}
	h := record.Head{What: "swarm", Fidelity: topology.Simulated, Lab: Name, Seed: seed}
	var err error
	if h.Topology, h.Nodes, err = d.grid(); err != nil {
		return h, err
	}
	h.Boot = fault.Duration(oneOf(d.stream("boot"), 0, 0, time.Second, 10*time.Second, 30*time.Second))
	r := d.stream("run")
	h.Options = run.Options{
		For: fault.Duration(o.For), Settle: fault.Duration(o.Settle), Seed: seed,
		Ready: r.IntN(4) > 0, Jobs: fault.Duration(oneOf(r, 3*time.Second, 10*time.Second, 30*time.Second)),
	}
	_, plan, err := h.Plan(Name)
	if err != nil {
		return h, err
	}
	var first time.Duration
	if !h.Options.Ready {
		first = climb
		h.Schedule = d.climbing(plan)
	}
	drawn, _, err := chaos.Swarm(seed, plan, topology.Simulated, o.For-first)
	if err != nil {
		return h, err
	}
	for _, t := range drawn {
		t.At += fault.Duration(first)
		h.Schedule = append(h.Schedule, t)
	}
	h.Schedule = append(h.Schedule, d.links(o.For)...)
	h.Schedule = slices.DeleteFunc(h.Schedule, func(t fault.Timed) bool { return slices.Contains(o.Without, t.Fault.Kind) })
	slices.SortStableFunc(h.Schedule, func(a, b fault.Timed) int { return cmp.Compare(a.At, b.At) })
	return h, nil
}

// drawer draws; each thing has a stream of its own, so that what is drawn for
// one does not move another.
type drawer struct{ seed uint64 }

func (d drawer) stream(what string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte("swarm of grids: " + what))
	return rand.New(rand.NewPCG(d.seed, h.Sum64()))
}

func oneOf[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// Nodes that a drawn grid has.
const least, most = 3, 12

// grid draws a topology file, and over how many nodes it is spread.
func (d drawer) grid() (text string, nodes int, err error) {
	r := d.stream("grid")
	nodes = least + r.IntN(most-least+1)
	acs := oneOf(r, 1, 1, 2, 3)
	if r.IntN(4) == 0 {
		text, err = sim.ScaleYAML(nodes, acs)
		return text, nodes, err
	}
	return d.office(acs), nodes, nil
}

// office is the topology of the default lab, with clocks that are off, several
// ACs, leases and certificates of other lives.
func (d drawer) office(acs int) string {
	r := d.stream("office")
	var b strings.Builder
	fmt.Fprintf(&b, `segments:
  - {name: office, subnet: 192.168.7.0/24, static: {first: 192.168.7.10, last: 192.168.7.250}}
  - {name: dhcp, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.250, lease: %s}}
  - {name: isolated}
acs:
`, oneOf(r, "2m", "2m", "10m"))
	life := oneOf(r, "", "", "", ", certificate_life: 5m", ", certificate_life: 1h")
	for i := range acs {
		legs := fmt.Sprintf("{segment: office, address: 192.168.7.%d}, {segment: dhcp, address: 192.168.8.%d}", 2+i, 2+i)
		if i == 0 {
			legs += ", {segment: isolated}" // at 10.254.254.254, which is for one
		}
		fmt.Fprintf(&b, "  - {name: ac%d, policy: open, fallback: %t%s, legs: [%s]}\n", i+1, i == 0, life, legs)
	}
	b.WriteString("nodes:\n")
	for _, g := range []struct{ name, nics string }{
		{"office", "{segment: office, method: static}"}, {"dhcp", "{segment: dhcp}"}, {"isolated", "{segment: isolated}"},
		{"both", "{segment: dhcp}, {segment: isolated}"},
	} {
		clock := oneOf(r, "", "", "", ", clock: -48h", ", clock: 1h", ", clock: -87600h")
		if life != "" && clock == ", clock: 1h" {
			clock = "" // a node that finds its AC's certificate expired does not take the AC's word for the time
		}
		fmt.Fprintf(&b, "  - {name: %s, count: 1, nics: [%s]%s}\n", g.name, g.nics, clock)
	}
	return b.String()
}

// links draws how good the links are all along.
func (d drawer) links(length time.Duration) fault.Schedule {
	r := d.stream("links")
	all := fault.Duration(length)
	switch r.IntN(6) {
	case 0:
		return fault.Schedule{{Fault: fault.Fault{Kind: fault.Loss, Percent: float64(oneOf(r, 1, 5, 20)), For: all}}}
	case 1:
		late := fault.Duration(oneOf[time.Duration](r, 20, 100, 400) * time.Millisecond)
		return fault.Schedule{{Fault: fault.Fault{Kind: fault.Delay, Delay: late, Jitter: late / 4, For: all}}}
	}
	return nil
}

// climb is the time for the faults that climbing draws: others might contradict
// them.
const climb = 5 * time.Second

// climbing draws an AC that goes away while nodes climb: what takes a moment on
// a good day is where they are caught.
func (d drawer) climbing(plan *topology.Plan) fault.Schedule {
	r := d.stream("climbing")
	var s fault.Schedule
	for at := time.Duration(0); at < climb-2*time.Second; at += 200*time.Millisecond + time.Duration(r.IntN(20))*100*time.Millisecond {
		f := fault.Fault{Kind: oneOf(r, fault.ACKill, fault.ACPause), On: oneOf(r, plan.ACs...).Name, For: fault.Duration(100 * time.Millisecond)}
		s = append(s, fault.Timed{At: fault.Duration(at), Fault: f})
	}
	return s
}
