package grace

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/g8os/g8os/core/api"
)

var (
	begin = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	terms = api.Grace{ForMS: (24 * time.Hour).Milliseconds(), Boots: 3}
)

func at(hours float64) time.Time { return begin.Add(time.Duration(hours * float64(time.Hour))) }

// A life of a lease: each line is what happens, and what comes of it.
func TestLife(t *testing.T) {
	l := Contact(terms, begin)
	for _, step := range []struct {
		do   string
		at   float64
		want string
	}{
		{"boot", 1, "open 23h0m0s 2"},
		{"seen", 5, ""},
		{"boot", -1000, "open 19h0m0s 1"}, // the clock was set back: it is still the fifth hour
		{"boot", 6, "open 18h0m0s 0"},
		{"boot", 7, "the 3 boots"},
		{"contact", 8, ""},
		{"look", 9, "open 23h0m0s 3"},
		{"boot", 31.9, "open 6m0s 2"},
		{"boot", 32, "over since 2026-11-27T20:00:00Z"},
		{"boot", 9, "over since"}, // it has seen the end
		{"contact", 10, ""},       // an AC says that it is the tenth hour
		{"boot", 11, "open 23h0m0s 2"},
	} {
		var v Verdict
		switch now := at(step.at); step.do {
		case "boot":
			l, v = l.Boot(now)
		case "seen":
			l = l.Seen(now)
		case "contact":
			l = Contact(terms, now)
		case "look":
			v = l.Look(now)
		}
		got := v.Why
		if v.Open {
			got = fmt.Sprintf("open %s %d", v.Left, v.Boots)
		}
		if !strings.Contains(got, step.want) || step.want == "" && got != "" {
			t.Errorf("%s at %v: %q, want %q", step.do, step.at, got, step.want)
		}
	}
}

func TestDue(t *testing.T) {
	fresh := Contact(terms, begin)
	used, _ := fresh.Boot(begin)
	short := api.Grace{ForMS: time.Minute.Milliseconds(), Boots: 1}
	for name, c := range map[string]struct {
		l     Lease
		terms api.Grace
		at    time.Duration
		want  bool
	}{
		"fresh":          {fresh, terms, time.Minute, false},
		"ten minutes":    {fresh, terms, 10 * time.Minute, true},
		"used":           {used, terms, time.Second, true},
		"other terms":    {fresh, short, time.Second, true},
		"short":          {Contact(short, begin), short, 8 * time.Second, true},
		"clock set back": {fresh, terms, -time.Hour, true},
	} {
		if got := c.l.Due(c.terms, begin.Add(c.at)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestNoLease(t *testing.T) {
	for _, l := range []Lease{{}, {Terms: terms}, Contact(api.Grace{}, begin), Contact(api.Grace{ForMS: 1, Boots: 1}, begin), Contact(api.Grace{ForMS: terms.ForMS, Boots: -1}, begin)} {
		if _, v := l.Boot(begin); v.Open || v.Why == "" {
			t.Errorf("%+v: %+v", l, v)
		}
	}
}

// Whatever the clock does, a lease opens so many times, and never when the time
// that was seen is over.
func TestNoClockProlongsALease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, latest, opened := Contact(terms, begin), begin, 0
		for _, h := range rapid.SliceOf(rapid.Float64Range(-100, 100)).Draw(t, "hours") {
			now := at(h)
			if now.After(latest) {
				latest = now
			}
			before := l
			var v Verdict
			l, v = l.Boot(now)
			if v.Open {
				opened++
			}
			if v.Open && latest.Sub(begin) >= terms.For() {
				t.Fatalf("open although it was %s already", latest)
			}
			if l.Floor.Before(before.Floor) || l.Used < before.Used {
				t.Fatal("it went back")
			}
		}
		if opened > terms.Boots {
			t.Fatalf("open %d times", opened)
		}
	})
}

// What a console shows is what is traded, whoever holds the grace.
func TestStanding(t *testing.T) {
	left := Verdict{Open: true, Left: 23*time.Hour + time.Minute + time.Second, Boots: 2}
	for _, c := range []struct {
		v           Verdict
		byTPM, open bool
		want        []string
	}{
		{left, true, false, []string{"unlocks without an AC", "23h1m0s and 2 boots", "the whole machine"}},
		{left, false, false, []string{"unlocks without an AC", "the disk, or copies it", "there is no TPM"}},
		{left, true, true, []string{"was opened without an AC", "the whole machine"}},
		{Verdict{Why: "grace is over"}, true, false, []string{"grace is over"}},
		{Verdict{Why: "used up"}, true, true, []string{"was opened without an AC", "0s and 0 boots"}},
	} {
		got := Standing(c.v, c.byTPM, c.open)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: %q, want %q in it", c, got, want)
			}
		}
	}
}
