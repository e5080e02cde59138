package run

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

func schedule(t *testing.T, text string) fault.Schedule {
	t.Helper()
	s, err := fault.ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// watch collects what a run tells.
type watch struct{ lines []string }

func (w *watch) tell(n Note) {
	switch {
	case n.Event != nil:
		w.lines = append(w.lines, n.Event.At.String()+" "+n.Event.Who+" "+n.Event.What+": "+n.Event.Text)
	case n.Fault != nil:
		w.lines = append(w.lines, n.Fault.ID+" in force "+n.Fault.InForce.String()+" healed "+n.Fault.Healed.String())
	case n.Phase != nil:
		w.lines = append(w.lines, n.Phase.At.String()+" "+n.Phase.Node+" is "+n.Phase.Phase)
	case n.Violation != nil:
		w.lines = append(w.lines, n.Violation.String())
	}
}

func TestPasses(t *testing.T) {
	g, w := newScripted(t), &watch{}
	r, err := Run(t.Context(), g, schedule(t, "5s kill on=office-1 for=3s\n6s power on=dhcp-1"), Options{For: fault.Duration(10 * time.Second), Tell: w.tell})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Passed || r.Began != time.Minute || r.Ended != 80*time.Second || len(r.Faults) != 2 || r.Checks < 20 {
		t.Errorf("got %+v", r)
	}
	calls := []string{"1m5s add kill on=office-1 for=3s", "1m6s add power on=dhcp-1", "1m8s heal f1", "1m10s heal all"}
	if !reflect.DeepEqual(g.calls, calls) {
		t.Errorf("the grid was asked for %q", g.calls)
	}
	var changes []string
	for _, line := range w.lines {
		if !strings.HasPrefix(line, "1m0s ") {
			changes = append(changes, line)
		}
	}
	want := []string{
		"f1 in force 1m5s healed 0s", "1m5s office-1 fault: kill on=office-1 for=3s", "1m6s office-1 is down",
		"f2 in force 1m6s healed 0s", "1m6s dhcp-1 fault: power on=dhcp-1", "1m7s dhcp-1 is down",
		"f1 in force 1m5s healed 1m8s", "1m8s office-1 is managed",
		"f2 in force 1m6s healed 1m10s", "1m10s run check: everything is healed; the grid has 1m0s to recover", "1m10s dhcp-1 is managed",
		"1m20s run check: the grid has recovered; nodes: 6, jobs: 0",
	}
	if !reflect.DeepEqual(changes, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(changes, "\n"), strings.Join(want, "\n"))
	}
}

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*scripted)
		o       Options
		verdict Verdict
		why     string
	}{
		{"an invariant", func(g *scripted) {
			g.facts = func(now time.Duration, f *grid.Facts) {
				if now == 63*time.Second {
					f.Releases = []grid.Release{{At: now, Node: "office-1", State: "pending", Proved: true}}
				}
			}
		}, Options{}, Violated, "1m3s: proved-unlock: a share of office-1 left while it was pending"},
		{"no recovery", func(g *scripted) { g.stuck = "kill" }, Options{Settle: fault.Duration(10 * time.Second)}, Violated, `1m18s: recovers: office-1 is in down, 10s after`},
		{"excused", func(g *scripted) { g.stuck = "kill" }, Options{Excused: []string{"office-1"}}, Passed, ""},
		{"cloned", func(g *scripted) { g.stuck = fault.Clone }, Options{}, Passed, ""},
		{"a job nobody hears of", func(g *scripted) { g.lost = true }, Options{Jobs: fault.Duration(time.Second)}, Violated, "nobody was told what became of it"},
		{"a fault that was not had", func(g *scripted) { g.refuse = "kill" }, Options{}, BrokenOff, "1 of 1 faults were not in force; the first: kill on=office-1 for=3s: it cannot be now"},
		{"never ready", func(g *scripted) { g.broken = "dhcp-1" }, Options{Ready: true}, BrokenOff, "not every node was managed within 1m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newScripted(t)
			tt.change(g)
			s := "5s kill on=office-1 for=3s"
			if g.stuck == fault.Clone {
				s = "5s clone on=office-1 for=3s"
			}
			r, err := Run(t.Context(), g, schedule(t, s), tt.o)
			if err != nil || r.Verdict != tt.verdict || !strings.Contains(r.Why, tt.why) {
				t.Errorf("%s: %s, %v; want %s: %s", r.Verdict, r.Why, err, tt.verdict, tt.why)
			}
			if !slices.ContainsFunc(g.calls, func(c string) bool { return strings.HasSuffix(c, "heal all") }) {
				t.Errorf("not everything was healed: %q", g.calls)
			}
		})
	}
}

// Whoever interrupts a run leaves a grid without faults.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	g := newScripted(t)
	g.waited = func(now time.Duration) {
		if now > 66*time.Second {
			cancel(errors.New("Ctrl-C"))
		}
	}
	r, err := Run(ctx, g, schedule(t, "5s kill on=office-1"), Options{For: fault.Duration(time.Hour)})
	if err != nil || r.Verdict != BrokenOff || r.Why != "interrupted: Ctrl-C" {
		t.Errorf("%+v, %v", r, err)
	}
	if len(g.active) != 0 || r.Faults[0].Healed == 0 {
		t.Errorf("still in force: %v", g.active)
	}
}

// A fault that a grid ends by itself has ended.
func TestHealedByTheGrid(t *testing.T) {
	g := newScripted(t)
	g.waited = func(now time.Duration) {
		if now >= 68*time.Second {
			g.active = nil
		}
	}
	r, err := Run(t.Context(), g, schedule(t, "5s kill on=office-1 for=3s"), Options{})
	if err != nil || r.Verdict != Passed || r.Faults[0].Healed != 68*time.Second {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestJobs(t *testing.T) {
	g := newScripted(t)
	r, err := Run(t.Context(), g, nil, Options{For: fault.Duration(time.Minute), Jobs: fault.Duration(5 * time.Second), Seed: 7})
	if err != nil || r.Jobs < 6 || r.Jobs > 20 || r.Jobs != len(g.jobs) {
		t.Errorf("%+v, %v", r, err)
	}
}

// A grid that somebody hurts already is left to them.
func TestFaultsBefore(t *testing.T) {
	g := newScripted(t)
	g.active = []grid.Applied{{ID: "f9", Fault: fault.Fault{Kind: fault.Kill, On: "dhcp-1"}}}
	_, err := Run(t.Context(), g, nil, Options{})
	if err == nil || err.Error() != "run: 1 faults are in force already, the first is f9 kill on=dhcp-1; heal them first" || len(g.active) != 1 {
		t.Errorf("got %v", err)
	}
}

// What is refused is refused before anything is touched.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		schedule string
		o        Options
		want     string
	}{
		{"5s kill on=office-9", Options{}, `run: at 5s: fault kill: node "office-9": no such thing; there are`},
		{"5s gremlin", Options{}, `run: at 5s: fault "gremlin": no such thing`},
		{"", Options{For: -1}, "run: for -1ns: want a time above 0"},
		{"", Options{Settle: -1}, "run: settle -1ns: want a time above 0"},
	} {
		g := newScripted(t)
		r, err := Run(t.Context(), g, schedule(t, tt.schedule), tt.o)
		if r != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) || len(g.calls) > 0 {
			t.Errorf("%s: %+v, %v, %q; want %s", tt.schedule, r, err, g.calls, tt.want)
		}
	}
}
