//go:build planted

package planted

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/planted"
	"github.com/g8os/g8os/lab/chaos"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/sim"
	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

const (
	nodes  = 9
	lease  = time.Minute // so that some are over within a run
	length = 5 * time.Minute
	settle = 2 * time.Minute
	seed   = 1 // of directed schedules
	few    = 6 // seeds of swarm testing, unless G8OS_PLANTED_SEEDS says how many
)

// plan is the grid: nine nodes, on three segments, and one AC.
func plan(t *testing.T) *topology.Plan {
	t.Helper()
	top, err := topology.Parse("default.yaml", topologies.Default)
	if err != nil {
		t.Fatal(err)
	}
	if err := top.Spread(nodes); err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan(topology.Simulated)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range p.DHCP {
		m.DHCP.Lease = lease
	}
	return p
}

// found is what a run says of a bug.
type found struct {
	by   invariant.Name // empty: nothing was violated
	text string
	at   time.Duration // of the grid, since its schedule began
	cost time.Duration // of the machine: of its processors for a simulated grid, from up to down for a lab
}

// live lets a grid live through a schedule until something is violated.
func live(t *testing.T, g grid.Grid, s fault.Schedule, o run.Options) found {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	o.Tell = func(n run.Note) {
		if n.Violation != nil {
			stop()
		}
	}
	r, err := run.Run(ctx, g, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Violations) == 0 && r.Verdict != run.Passed {
		t.Fatalf("%s: %s\n%s", r.Verdict, r.Why, s)
	}
	if len(r.Violations) == 0 {
		return found{}
	}
	v := r.Violations[0]
	return found{by: v.Invariant, text: v.Text, at: v.At - r.Began}
}

// simulate lets a simulated grid live through a schedule, with a bug or
// without one.
func simulate(t *testing.T, bug planted.Bug, seed uint64, s fault.Schedule, o run.Options) found {
	t.Helper()
	if err := planted.Set(bug); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = planted.Set("") }()
	begin := used(t)
	w, err := sim.New(plan(t), sim.Options{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	o.Seed, o.Settle = seed, fault.Duration(settle)
	f := live(t, w, s, o)
	f.cost = used(t) - begin
	return f
}

// used is the time that processors have spent on this process: the machine may
// be shared.
func used(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Each bug is caught by the schedule that is made for it, which passes without
// the bug.
func TestDirectedSchedules(t *testing.T) {
	for _, d := range all {
		t.Run(string(d.bug), func(t *testing.T) {
			s, err := fault.ParseSchedule(d.schedule)
			if err != nil {
				t.Fatal(err)
			}
			o := run.Options{Ready: !d.early, Jobs: fault.Duration(d.jobs)}
			if f := simulate(t, "", seed, s, o); f.by != "" {
				t.Errorf("without the bug: %s after %s: %s", f.by, f.at, f.text)
			}
			f := simulate(t, d.bug, seed, s, o)
			if f.by == "" {
				t.Fatalf("no invariant was violated, in %s of machine time; the schedule:\n%s", f.cost, s)
			}
			note(d.bug, topology.Simulated, "directed", f)
		})
	}
}

// A bug that is new is not forgotten here.
func TestEachBugIsLookedFor(t *testing.T) {
	has := map[planted.Bug]bool{}
	for _, d := range all {
		has[d.bug] = true
	}
	for _, b := range rotated {
		has[b] = true
	}
	for _, b := range planted.All() {
		if !has[b] {
			t.Errorf("%s has neither a schedule nor a test that finds it", b)
		}
	}
}

// Swarm testing knows nothing of the bugs: which it meets within few seeds is
// told, and that it complains of none where there is none.
func TestSwarm(t *testing.T) {
	seeds := uint64(few)
	if text := os.Getenv("G8OS_PLANTED_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			t.Fatalf("G8OS_PLANTED_SEEDS: %v", err)
		}
		seeds = n
	}
	for n := range seeds {
		if f := swarm(t, "", n+1); f.by != "" {
			t.Errorf("seed %d, without a bug: %s after %s: %s", n+1, f.by, f.at, f.text)
		}
	}
	for _, d := range all {
		b, met := d.bug, found{}
		how := fmt.Sprintf("not by %d seeds", seeds)
		cost := time.Duration(0)
		for n := uint64(0); n < seeds && met.by == ""; n++ {
			met = swarm(t, b, n+1)
			cost += met.cost
			if met.by != "" {
				how = fmt.Sprintf("seed %d", n+1)
			}
		}
		met.cost = cost
		note(b, topology.Simulated, how, met)
	}
}

// swarm is a run of a seed; of every other one, the nodes boot for the first
// time under its faults.
func swarm(t *testing.T, bug planted.Bug, seed uint64) found {
	t.Helper()
	s, _, err := chaos.Swarm(seed, plan(t), topology.Simulated, length)
	if err != nil {
		t.Fatal(err)
	}
	return simulate(t, bug, seed, s, run.Options{Ready: seed%2 == 1, Jobs: fault.Duration(10 * time.Second)})
}
