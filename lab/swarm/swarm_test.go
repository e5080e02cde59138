package swarm

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/sim"
)

var drawing = Drawing{For: 5 * time.Minute, Settle: 3 * time.Minute}

func draw(seed uint64) (record.Head, error) { return Draw(seed, drawing) }

// Thirty grids live through whatever is drawn for them, twice, and nothing that
// must hold is violated.
func TestThirtySeedsTwice(t *testing.T) {
	c, next := Coverage{}, uint64(1)
	err := Run(t.Context(), Options{From: 1, To: 30, Draw: draw, Twice: true, Procs: 2, KeepOn: true}, func(o Outcome) {
		if o.Head.Seed != next {
			t.Errorf("seed %d came when %d was to", o.Head.Seed, next)
		}
		next++
		c.Add(o)
		if !o.Passed() || o.Again == "" {
			t.Errorf("seed %d: %s", o.Head.Seed, o.Why())
		}
	})
	if err != nil || next != 31 {
		t.Errorf("%v, %d seeds", err, next-1)
	}
	if missed := c.Missed(nil); len(missed) > 20 {
		t.Errorf("the runs came to little; not to %q", missed)
	}
}

// A seed gives one run; kinds that are left out do not move the others.
func TestDraw(t *testing.T) {
	for seed := range uint64(50) {
		h, err := draw(seed)
		again, _ := draw(seed)
		if err != nil || !reflect.DeepEqual(h, again) || len(h.Schedule) == 0 {
			t.Fatalf("seed %d: %v\n%+v\n%+v", seed, err, h, again)
		}
		other, _ := draw(seed + 1)
		if reflect.DeepEqual(h.Schedule, other.Schedule) {
			t.Errorf("seeds %d and %d have the same faults", seed, seed+1)
		}
		less := drawing
		less.Without = []string{fault.Power}
		left, err := Draw(seed, less)
		want := slices.DeleteFunc(h.Schedule, func(e fault.Timed) bool { return e.Fault.Kind == fault.Power })
		if err != nil || left.Schedule.String() != want.String() {
			t.Errorf("seed %d without power: %v\n%s\nwant\n%s", seed, err, left.Schedule, want)
		}
	}
	if _, err := Draw(1, Drawing{For: time.Second}); err == nil || !strings.Contains(err.Error(), "want 10s or more") {
		t.Errorf("too short: %v", err)
	}
}

// short runs are over at once; that of seed 3 cannot be drawn.
func short(seed uint64) (record.Head, error) {
	if seed == 3 {
		return record.Head{}, errors.New("no such grid")
	}
	h, err := draw(seed)
	h.Schedule, h.Options = nil, run.Options{Settle: fault.Duration(time.Minute), Ready: true}
	return h, err
}

func TestTheFirstThatFails(t *testing.T) {
	for _, tt := range []struct {
		keepOn bool
		want   []uint64
	}{{false, []uint64{1, 2, 3}}, {true, []uint64{1, 2, 3, 4, 5}}} {
		var got []uint64
		err := Run(t.Context(), Options{From: 1, To: 5, Draw: short, Procs: 3, KeepOn: tt.keepOn}, func(o Outcome) {
			got = append(got, o.Head.Seed)
			if o.Err != nil && o.Why() != "seed 3: no such grid" {
				t.Error(o.Why())
			}
		})
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("keep on %t: got %v, %v", tt.keepOn, got, err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	times := 0
	err := Run(ctx, Options{From: 1, To: 1 << 60, Draw: short, Procs: 2, KeepOn: true}, func(Outcome) {
		times++
		stop(enough)
	})
	if !errors.Is(err, enough) || times != 1 {
		t.Errorf("got %v after %d", err, times)
	}
}

func TestWhy(t *testing.T) {
	passed := &run.Result{Verdict: run.Passed}
	for _, tt := range []struct {
		o    Outcome
		want string
	}{
		{Outcome{Result: passed, Hash: "a"}, ""},
		{Outcome{Result: passed, Hash: "a", Again: "a"}, ""},
		{Outcome{Result: passed, Hash: "a", Again: "b"}, "two runs of one seed differ: histories a and b"},
		{Outcome{Result: &run.Result{Verdict: run.Violated, Why: "x"}}, "violated: x"},
		{Outcome{Err: errors.New("y")}, "y"},
	} {
		if got := tt.o.Why(); got != tt.want || tt.o.Passed() != (tt.want == "") {
			t.Errorf("%+v: got %q, want %q", tt.o, got, tt.want)
		}
	}
}

func TestCoverage(t *testing.T) {
	c := Coverage{}
	if got := c.Missed(nil); !slices.Equal(got, sim.Reaches()) {
		t.Errorf("of nothing %q is missed", got)
	}
	for i, what := range sim.Reaches() {
		c.Add(Outcome{Reached: map[string]int{what: i}})
	}
	if got := c.Missed(nil); !slices.Equal(got, sim.Reaches()[:1]) {
		t.Errorf("missed %q", got)
	}
	delete(c, "fault "+fault.ACClock)
	if got := c.Missed([]string{fault.ACClock}); len(got) != 1 {
		t.Errorf("what was left out is missed: %q", got)
	}
	if got := c.Rarest()[1]; got != sim.Reaches()[1] {
		t.Errorf("the rarest is %q", got)
	}
}
