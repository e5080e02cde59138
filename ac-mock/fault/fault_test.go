package fault

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	ann api.NodeID = "020000000001"
	bob api.NodeID = "020000000002"
)

func TestNothingIsArmedUnlessEnabled(t *testing.T) {
	s := NewSet(false)
	if _, err := s.Arm(api.Fault{Name: Outage}, t0); !errors.Is(err, ErrOff) {
		t.Fatalf("Arm on an AC without faults: %v, want ErrOff", err)
	}
	if s.Active(Outage, "", t0) || len(s.List(t0)) != 0 {
		t.Fatal("a fault holds although none could be armed")
	}
}

func TestArmHoldsForItsTimeAndItsNodes(t *testing.T) {
	s := NewSet(true)
	if _, err := s.Arm(api.Fault{Name: Slow, Nodes: []api.NodeID{ann}, ForMS: 1000}, t0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Arm(api.Fault{Name: Outage}, t0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		node api.NodeID
		at   time.Duration
		want bool
	}{
		{Slow, ann, 0, true},
		{Slow, ann, 999 * time.Millisecond, true},
		{Slow, ann, time.Second, false},
		{Slow, bob, 0, false},
		{Slow, "", 0, false}, // a peer nobody knows is not ann
		{Outage, ann, time.Hour, true},
		{Outage, "", time.Hour, true},
		{WrongCA, "", 0, false},
	} {
		if got := s.Active(c.name, c.node, t0.Add(c.at)); got != c.want {
			t.Errorf("%s towards %q after %v: %v, want %v", c.name, c.node, c.at, got, c.want)
		}
	}
	if got := s.Names(t0); !slices.Equal(got, []string{Outage, Slow}) {
		t.Errorf("armed: %v", got)
	}
	if got := s.Expire(t0.Add(time.Second)); !slices.Equal(got, []string{Slow}) {
		t.Errorf("over after a second: %v, want slow", got)
	}
	if got := s.Expire(t0.Add(time.Second)); len(got) != 0 {
		t.Errorf("an end is told twice: %v", got)
	}
}

func TestArmRefuses(t *testing.T) {
	s := NewSet(true)
	for _, c := range []struct {
		f    api.Fault
		want string
	}{
		{api.Fault{Name: "outrage"}, `fault "outrage": no such fault; there are clock-skew`},
		{api.Fault{Name: WrongCA, Nodes: []api.NodeID{ann}}, "before a node is known"},
		{api.Fault{Name: Slow, ForMS: -1}, "above 0"},
	} {
		if _, err := s.Arm(c.f, t0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Arm(%+v): %v, want %q", c.f, err, c.want)
		}
	}
	if len(s.List(t0)) != 0 {
		t.Error("a refused fault is armed")
	}
}

func TestClear(t *testing.T) {
	s := NewSet(true)
	for _, n := range []string{Slow, Outage, WrongCA} {
		if _, err := s.Arm(api.Fault{Name: n}, t0); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Clear(Outage, t0); err != nil || !slices.Equal(got, []string{Outage}) {
		t.Errorf("Clear(outage) = %v, %v", got, err)
	}
	if got, err := s.Clear("", t0); err != nil || !slices.Equal(got, []string{Slow, WrongCA}) {
		t.Errorf("Clear(all) = %v, %v", got, err)
	}
	if _, err := s.Clear("nope", t0); !errors.Is(err, ErrUnknown) {
		t.Errorf("Clear(nope): %v", err)
	}
}

func TestKindsAreSortedAndDescribed(t *testing.T) {
	ks := Kinds()
	if !slices.IsSortedFunc(ks, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("kinds are not sorted by name")
	}
	for _, k := range ks {
		if k.Doc == "" {
			t.Errorf("%s has no description", k.Name)
		}
	}
}
