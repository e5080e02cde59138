package shrink

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
)

func schedule(t *testing.T, text string) fault.Schedule {
	t.Helper()
	s, err := fault.ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const many = `
	1s kill on=a for=17s
	2s loss percent=37.5 to=ac1 both for=41s
	3s cable on=b for=9s
	4s power on=a for=30s
	5s delay delay=137ms jitter=20ms from=c for=12500ms
	6s outage nodes=a,b,c for=20s
	8s ac-kill for=31s
	9s pause on=b for=2s
`

// has says whether a kind is in force for longer than a time.
func has(s fault.Schedule, kind string, longer time.Duration) bool {
	return slices.ContainsFunc(s, func(t fault.Timed) bool {
		return t.Fault.Kind == kind && time.Duration(t.Fault.For) > longer
	})
}

func TestShrinks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails Fails
		want  string
		nodes int
	}{
		{"nothing is needed", func(fault.Schedule, int) bool { return true }, "", 1},
		{"one fault", func(s fault.Schedule, _ int) bool { return has(s, "power", 0) }, "0s power on=a for=1s\n", 1},
		{"two faults and seven nodes", func(s fault.Schedule, n int) bool { return n >= 7 && has(s, "kill", 0) && has(s, "pause", 0) },
			"0s kill on=a for=1s\n0s pause on=b for=1s\n", 7},
		{"a window", func(s fault.Schedule, _ int) bool { return has(s, "ac-kill", 22*time.Second) }, "0s ac-kill for=23s\n", 1},
		{"amounts", func(s fault.Schedule, _ int) bool {
			return slices.ContainsFunc(s, func(t fault.Timed) bool {
				return t.Fault.Kind == "delay" && time.Duration(t.Fault.Delay) >= 50*time.Millisecond
			})
		}, "0s delay from=c delay=100ms for=1s\n", 1},
		{"all or little", func(s fault.Schedule, _ int) bool {
			return slices.ContainsFunc(s, func(t fault.Timed) bool { return t.Fault.Percent > 30 && t.Fault.Percent < 50 })
		}, "0s loss to=ac1 percent=37 for=1s\n", 1},
		{"one of some nodes", func(s fault.Schedule, _ int) bool {
			return slices.ContainsFunc(s, func(t fault.Timed) bool { return slices.Contains(t.Fault.Nodes, "b") })
		}, "0s outage nodes=b for=1s\n", 1},
		{"an order", func(s fault.Schedule, _ int) bool {
			at := func(kind string) int {
				return slices.IndexFunc(s, func(t fault.Timed) bool { return t.Fault.Kind == kind })
			}
			return at("cable") >= 0 && at("power") > at("cable")
		}, "0s cable on=b for=1s\n0s power on=a for=1s\n", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Run(schedule(t, many), 100, 1000, tt.fails)
			if r.Schedule.String() != tt.want || r.Nodes != tt.nodes || !r.Fails || !r.Minimal {
				t.Errorf("got %+v after %d tries\n%s\nwant %d nodes\n%s", r, r.Tries, r.Schedule, tt.nodes, tt.want)
			}
		})
	}
}

// Whatever the failure needs, what is left fails and needs each of its faults.
func TestMinimal(t *testing.T) {
	all := schedule(t, strings.Repeat(many, 4))
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		needs, nodes := map[string]bool{}, 1+random.IntN(50)
		for range random.IntN(5) {
			needs[all[random.IntN(len(all))].Fault.Kind] = true
		}
		fails := func(s fault.Schedule, n int) bool {
			for kind := range needs {
				if !has(s, kind, 0) {
					return false
				}
			}
			return n >= nodes
		}
		r := Run(all, 50, 2000, fails)
		if !fails(r.Schedule, r.Nodes) || len(r.Schedule) != len(needs) || r.Nodes != nodes || !r.Minimal {
			t.Fatalf("seed %d needs %v and %d nodes, got %+v", seed, needs, nodes, r)
		}
		for i := range r.Schedule {
			if fails(slices.Concat(r.Schedule[:i], r.Schedule[i+1:]), r.Nodes) {
				t.Errorf("seed %d: entry %d is not needed: %s", seed, i, r.Schedule)
			}
		}
		if again := Run(all, 50, 2000, fails); !reflect.DeepEqual(r, again) {
			t.Errorf("seed %d: another result: %+v, %+v", seed, r, again)
		}
	}
}

// With few tries it returns what it has, which fails.
func TestBounded(t *testing.T) {
	asked := 0
	fails := func(s fault.Schedule, n int) bool {
		asked++
		return n >= 7 && has(s, "kill", 0) && has(s, "pause", 0)
	}
	for _, tries := range []int{1, 2, 5, 20} {
		asked = 0
		r := Run(schedule(t, many), 100, tries, fails)
		if asked > tries || r.Tries != asked || r.Minimal || !r.Fails || !fails(r.Schedule, r.Nodes) {
			t.Errorf("%d tries: asked %d times, got %+v", tries, asked, r)
		}
	}
}

func TestDoesNotFail(t *testing.T) {
	before := schedule(t, many)
	r := Run(before, 9, 10, func(fault.Schedule, int) bool { return false })
	if r.Fails || r.Tries != 1 || r.Nodes != 9 || !reflect.DeepEqual(r.Schedule, before) {
		t.Errorf("got %+v", r)
	}
}
