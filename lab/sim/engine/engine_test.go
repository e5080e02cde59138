package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventsHappenInOrderOfTimeAndThenOfAsking(t *testing.T) {
	e := New(1)
	rng := rand.New(rand.NewPCG(1, 2))
	type when struct {
		at time.Duration
		n  int
	}
	var want, got []when
	for n := range 2000 {
		w := when{time.Duration(rng.IntN(100)), n}
		want = append(want, w)
		e.At(w.at, func() {
			if e.Now() != w.at {
				t.Fatalf("event of %d at %d", w.at, e.Now())
			}
			got = append(got, w)
		})
	}
	slices.SortStableFunc(want, func(a, b when) int { return int(a.at - b.at) })
	e.Run(49)
	half := len(got)
	if half == 0 || got[half-1].at > 49 || e.Now() != 49 {
		t.Fatalf("Run(49) stopped at %d after %d events", e.Now(), half)
	}
	e.Run(1000)
	if !slices.Equal(got, want) {
		t.Error("events came in another order")
	}
	if len(e.heap) > 0 || e.Events() != 2000 {
		t.Errorf("%d events, and %d to come", e.Events(), len(e.heap))
	}
}

func TestThePastIsNow(t *testing.T) {
	e := New(1)
	var got []string
	e.At(10, func() {
		e.At(3, func() { got = append(got, fmt.Sprint("asked for 3, at ", int(e.Now()))) })
		e.After(-5, func() { got = append(got, fmt.Sprint("asked for -5, at ", int(e.Now()))) })
	})
	e.Run(20)
	if want := "asked for 3, at 10; asked for -5, at 10"; strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAStreamIsItsOwn(t *testing.T) {
	draw := func(others int) []uint64 {
		e := New(7)
		for i := range others {
			e.Stream(fmt.Sprint("other ", i)).Uint64()
		}
		s := e.Stream("node a")
		return []uint64{s.Uint64(), s.Uint64()}
	}
	if a, b := draw(0), draw(5); !slices.Equal(a, b) {
		t.Errorf("drawn beside others: %v, alone: %v", b, a)
	}
	if a, b := New(7).Stream("node a").Uint64(), New(8).Stream("node a").Uint64(); a == b {
		t.Error("two seeds give one stream")
	}
}

func TestHistoryTellsRunsApart(t *testing.T) {
	run := func(who, what, detail uint64, at time.Duration) uint64 {
		e := New(1)
		e.At(at, func() { e.Note(who, what, detail) })
		e.Run(100)
		return e.History()
	}
	base := run(1, 2, 3, 4)
	if again := run(1, 2, 3, 4); again != base {
		t.Errorf("the same run: %x and %x", base, again)
	}
	for _, other := range []uint64{run(2, 2, 3, 4), run(1, 3, 3, 4), run(1, 2, 4, 4), run(1, 2, 3, 5)} {
		if other == base {
			t.Error("another run has the same history")
		}
	}
}

func TestAProcWaitsInVirtualTime(t *testing.T) {
	e := New(1)
	var log []string
	say := func(what string) { log = append(log, fmt.Sprintf("%d %s", e.Now(), what)) }
	sleep := func(p *Proc, d time.Duration) {
		Await(p, func(answer func(struct{})) { e.After(d, func() { answer(struct{}{}); answer(struct{}{}) }) })
	}
	e.Go(func(p *Proc) { say("a begins"); sleep(p, 10); say("a goes on"); sleep(p, 10) }, func() { say("a has ended") })
	b := e.Go(func(p *Proc) {
		defer say("b is unwound")
		sleep(p, 15)
		say("b goes on")
	}, func() { say("b has ended") })
	if got := Await(nil, func(answer func(int)) { answer(3) }); got != 3 {
		t.Errorf("an answer that is there at once: %d", got)
	}
	e.At(12, func() { b.Kill(); b.Kill() })
	e.Run(100)
	want := "0 a begins, 10 a goes on, 12 b is unwound, 20 a has ended"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func BenchmarkEvents(b *testing.B) {
	e := New(1)
	rng := rand.New(rand.NewPCG(1, 2))
	var again func()
	again = func() { e.After(time.Duration(rng.IntN(1000000)), again) }
	for range 10000 {
		again()
	}
	b.ResetTimer()
	for range b.N {
		e.step()
	}
}
