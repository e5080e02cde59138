package chaos

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

func grid(t *testing.T, text string) *topology.Plan {
	t.Helper()
	top, err := topology.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan("x")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func theDefault(t *testing.T) *topology.Plan { return grid(t, string(topologies.Default)) }

const oneSegment = `
segments: [{name: a, subnet: 10.0.0.0/24}]
acs: [{name: ac1, legs: [{segment: a, address: 10.0.0.2}]}, {name: ac2, legs: [{segment: a, address: 10.0.0.3}]}]
nodes: [{name: n, count: 3, nics: [{segment: a, method: static}]}]
`

const twoACs = `
segments: [{name: a, subnet: 10.0.0.0/24}]
acs: [{name: ac1, legs: [{segment: a, address: 10.0.0.2}]}, {name: ac2, fallback: false, legs: [{segment: a, address: 10.0.0.3}]}]
nodes: [{name: n, count: 3, nics: [{segment: a, method: static}]}]
`

var tenMinutes = Options{Seed: 1, Every: 5 * time.Second, For: 10 * time.Minute}

// Whatever plan, grid, fidelity and seed: what is drawn can be had, in order,
// in time, and nothing in it contradicts anything else.
func TestEverythingDrawnCanBeHad(t *testing.T) {
	for _, g := range []*topology.Plan{theDefault(t), grid(t, oneSegment), grid(t, twoACs)} {
		for _, fidelity := range []string{"sim", "netns", "vm"} {
			for seed := range uint64(10) {
				o := tenMinutes
				o.Seed = seed
				for _, p := range Plans() {
					s, left, err := p.Schedule(g, fidelity, o)
					if err != nil {
						if len(left) != len(p.Kinds) {
							t.Errorf("%s: %v", p.Name, err)
						}
						continue
					}
					sound(t, p.Name, s, g, fidelity, o.For)
				}
				if s, _, err := Swarm(seed, g, fidelity, o.For); err == nil {
					sound(t, "swarm", s, g, fidelity, o.For)
				}
			}
		}
	}
}

func sound(t *testing.T, what string, s fault.Schedule, g *topology.Plan, fidelity string, end time.Duration) {
	t.Helper()
	ends := map[string]fault.Duration{}
	for i, one := range s {
		if err := fault.Check(one.Fault, g, fidelity); err != nil {
			t.Errorf("%s at %s: %s: %v", what, fidelity, one, err)
		}
		if i > 0 && one.At < s[i-1].At {
			t.Errorf("%s: %s is after %s", what, one, s[i-1])
		}
		k, _ := fault.Find(one.Fault.Kind)
		if !k.Once && one.Fault.For < fault.Duration(time.Second) {
			t.Errorf("%s: %s has no time", what, one)
		}
		if k.Class == fault.Node && !k.Once {
			if ends[one.Fault.On] > one.At {
				t.Errorf("%s: %s while another lasts to %s", what, one, ends[one.Fault.On])
			}
			ends[one.Fault.On] = one.At + one.Fault.For
		}
	}
	if s.Span() > end {
		t.Errorf("%s lasts %s, want at most %s", what, s.Span(), end)
	}
}

func TestSameSeed(t *testing.T) {
	p, err := Find("everything")
	if err != nil {
		t.Fatal(err)
	}
	g := theDefault(t)
	draw := func(seed uint64) string {
		o := tenMinutes
		o.Seed = seed
		s, _, err := p.Schedule(g, "sim", o)
		if err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	if first, again, other := draw(1), draw(1), draw(2); first != again || first == other {
		t.Error("the same seed gives another schedule, or another seed the same")
	}
}

// What happens to node and address is drawn by kind and time: a kind that is
// left out moves no other.
func TestStreamsAreApart(t *testing.T) {
	d := &drawer{theDefault(t), "sim", 3}
	both, one := even(fault.Power, fault.Loss), even(fault.Power)
	same := 0
	for n := range 50 {
		a, b := d.slot(n, both, false, tenMinutes), d.slot(n, one, false, tenMinutes)
		if len(a) == 1 && a[0].Fault.Kind == fault.Power {
			same++
			if !reflect.DeepEqual(a, b) {
				t.Errorf("time %d: %s with another kind beside it, %s alone", n, a, b)
			}
		}
	}
	if same < 10 || same > 40 {
		t.Errorf("of two kinds with one weight, one was drawn %d of 50 times", same)
	}
}

// Kinds that a grid or a fidelity cannot have are named, each with its reason.
func TestLeft(t *testing.T) {
	for _, tt := range []struct {
		plan, grid, fidelity, want string
	}{
		{"ac-outage", string(topologies.Default), "netns", "store-lost: the store is in the ACs themselves: with three of them, ac-kill on two takes its quorum"},
		{"collide", oneSegment, "sim", "dhcp-in-use: no segment with nodes has a DHCP server; move: the grid has one segment"},
		{"ac-outage", string(topologies.Default), "sim", ""},
	} {
		p, err := Find(tt.plan)
		if err != nil {
			t.Fatal(err)
		}
		_, left, err := p.Schedule(grid(t, tt.grid), tt.fidelity, tenMinutes)
		var got []string
		for _, l := range left {
			got = append(got, l.String())
		}
		if err != nil || strings.Join(got, "; ") != tt.want {
			t.Errorf("%s at %s leaves out %q, %v; want %q", tt.plan, tt.fidelity, got, err, tt.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	if _, err := Find("mayhem"); !errors.Is(err, ErrUnknown) || !strings.HasPrefix(err.Error(), `chaos "mayhem": no such plan; there are ac-outage, dhcp-flap,`) {
		t.Errorf("got %v", err)
	}
	flap, err := Find("dhcp-flap")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{Every: -time.Second, For: time.Minute}, "chaos: every -1s: want 1s or more"},
		{Options{Every: time.Minute, For: time.Second}, "chaos: for 1s: want 1m0s or more, in which one fault begins"},
		{Options{Every: time.Second, For: 1000 * time.Hour}, "chaos: every 1s for 1000h0m0s: more than 100000 faults"},
		{tenMinutes, "chaos dhcp-flap: nothing of it can be had in this grid at fidelity sim; the first: dhcp-silent: no segment with nodes has a DHCP server"},
	} {
		if _, _, err := flap.Schedule(grid(t, oneSegment), "sim", tt.o); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// Each plan draws every kind it has, sooner or later.
func TestEveryKindComes(t *testing.T) {
	g := theDefault(t)
	for _, p := range Plans() {
		seen := map[string]bool{}
		for seed := range uint64(4) {
			s, left, err := p.Schedule(g, "sim", Options{Seed: seed, Every: time.Second, For: 10 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range left {
				seen[l.Kind] = true // it need not
			}
			for _, one := range s {
				seen[one.Fault.Kind] = true
			}
		}
		for _, w := range p.Kinds {
			if !seen[w.Kind] {
				t.Errorf("%s: %s never comes", p.Name, w.Kind)
			}
		}
	}
}

// Seeds differ in what they switch off, in how often faults come and in what
// comes most.
func TestSwarm(t *testing.T) {
	g := theDefault(t)
	kinds, sizes := map[int]bool{}, map[int]bool{}
	for seed := range uint64(100) {
		s, left, err := Swarm(seed, g, "sim", 10*time.Minute)
		if err != nil {
			continue // everything that was left on cannot be had
		}
		kinds[len(left)], sizes[len(s)/20] = true, true
		off := slices.ContainsFunc(s, func(one fault.Timed) bool {
			return slices.ContainsFunc(left, func(l Left) bool { return l.Kind == one.Fault.Kind })
		})
		if off {
			t.Errorf("seed %d: a kind that is switched off comes", seed)
		}
	}
	if len(kinds) < 20 || len(sizes) < 10 {
		t.Errorf("100 seeds switch off %d different numbers of kinds and have %d different lengths", len(kinds), len(sizes))
	}
}

// A crowd is one node, some, or all.
func TestCrowd(t *testing.T) {
	d := &drawer{theDefault(t), "sim", 5}
	sizes := map[int]bool{}
	for n := range 100 {
		all := d.slot(n, even(fault.Power), true, tenMinutes)
		sizes[len(all)] = true
	}
	if !sizes[1] || !sizes[2] || !sizes[6] {
		t.Errorf("crowds of %v", sizes)
	}
}
