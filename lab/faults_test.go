package lab_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/impair/link"
)

const segmentOfThree = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: office, count: 3, nics: [{segment: office, method: static}]}
`

func TestImpair(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l := up(t, ctx, segmentOfThree, name("impair"))
	s := l.Segment("office")
	impair := func(t *testing.T, from, to string, spec link.Spec) grid.Measured {
		t.Helper()
		begin := time.Now()
		m, err := s.Impair(ctx, from, to, spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s to %s, %s, in %v: %+v", from, to, spec, time.Since(begin).Round(time.Millisecond), m)
		return m
	}
	well := func(t *testing.T, from, to string) {
		t.Helper()
		if m := impair(t, from, to, link.Spec{}); m.Percent != 0 || !strings.Contains(m.How, "0 lost") || !strings.HasPrefix(m.How, "10 frames") {
			t.Errorf("well again: %+v", m)
		}
	}

	t.Run("loss", func(t *testing.T) {
		for _, percent := range []float64{1, 10, 50} {
			m := impair(t, "office-1", "office-2", link.Spec{Loss: percent})
			if math.Abs(m.Percent-percent) > percent/10+1e-9 || m.Packets != 1000 {
				t.Errorf("asked for %g%%: %+v", percent, m)
			}
		}
		if m, err := s.Impair(ctx, "office-2", "office-1", link.Spec{}); err != nil || !strings.Contains(m.How, "0 lost") {
			t.Errorf("the other way: %+v, %v", m, err)
		}
		well(t, "office-1", "office-2")
	})
	t.Run("late, and never early", func(t *testing.T) {
		m := impair(t, "office-1", "office-2", link.Spec{Delay: 20 * time.Millisecond})
		if time.Duration(m.Delay) < 20*time.Millisecond {
			t.Errorf("%+v", m)
		}
		ping(t, ctx, l.Node("office-1"), "192.168.7.11", true)
		if rtt := roundTrip(t, ctx, l.Node("office-1"), "192.168.7.11"); rtt < 20*time.Millisecond || rtt > 40*time.Millisecond {
			t.Errorf("round trip %v: want once 20 ms", rtt)
		}
	})
	t.Run("both ways and by several causes", func(t *testing.T) {
		impair(t, "office-2", "", link.Spec{Delay: 30 * time.Millisecond, Duplicate: 20})
		if rtt := roundTrip(t, ctx, l.Node("office-1"), "192.168.7.11"); rtt < 50*time.Millisecond {
			t.Errorf("round trip %v: want 20 and 30 ms", rtt)
		}
		if rtt := roundTrip(t, ctx, l.Node("office-1"), "192.168.7.12"); rtt > 15*time.Millisecond {
			t.Errorf("round trip %v between two that nothing is wrong with", rtt)
		}
	})
	t.Run("any process can change it, and it survives a power cut", func(t *testing.T) {
		again, err := lab.Open(l.Name(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []lab.Impairment{{From: "office-1", To: "office-2", Spec: link.Spec{Delay: 20 * time.Millisecond}},
			{From: "office-2", Spec: link.Spec{Delay: 30 * time.Millisecond, Duplicate: 20}}}
		if got := again.Segment("office").Impairments(); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if _, err := again.Segment("office").Impair(ctx, "office-2", "", link.Spec{}); err != nil {
			t.Fatal(err)
		}
		n := l.Node("office-2") // of a handle that has not heard of it
		if err := n.PowerCut(ctx); err != nil {
			t.Fatal(err)
		}
		if m := impair(t, "office-3", "office-2", link.Spec{Loss: 1}); !strings.Contains(m.How, "not measured") {
			t.Errorf("measured at a node without power: %+v", m)
		}
		if err := n.PowerOn(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := n.WaitManaged(ctx); err != nil {
			t.Fatal(err)
		}
		ping(t, ctx, l.Node("office-1"), "192.168.7.11", true)
		if rtt := roundTrip(t, ctx, l.Node("office-1"), "192.168.7.11"); rtt < 20*time.Millisecond || rtt > 45*time.Millisecond {
			t.Errorf("round trip %v: want 20 ms one way, nothing the other", rtt)
		}
		well(t, "office-1", "office-2")
		well(t, "office-3", "office-2")
	})
	t.Run("other kinds", func(t *testing.T) {
		for _, tt := range []struct {
			spec link.Spec
			want float64
		}{{link.Spec{Duplicate: 10}, 10}, {link.Spec{Corrupt: 10}, 10}, {link.Spec{Reorder: 2}, 2}, {link.Spec{Loss: 100}, 100}} {
			if m := impair(t, "office-3", "ac1", tt.spec); math.Abs(m.Percent-tt.want) > tt.want/10+0.5 {
				t.Errorf("%s: %+v", tt.spec, m)
			}
		}
		if m := impair(t, "office-3", "ac1", link.Spec{Rate: 2e6}); m.Rate < 1.8e6 || m.Rate > 2.2e6 {
			t.Errorf("2mbit: %+v", m)
		}
		well(t, "office-3", "ac1")
	})
	t.Run("what makes no sense changes nothing", func(t *testing.T) {
		if _, err := s.Impair(ctx, "office-9", "", link.Spec{Loss: 1}); !errors.Is(err, lab.ErrUnknown) {
			t.Errorf("an unknown node: %v", err)
		}
		for _, bad := range []link.Spec{{Loss: 101}, {Delay: -1}} {
			if _, err := s.Impair(ctx, "office-1", "", bad); err == nil {
				t.Errorf("%+v was accepted", bad)
			}
		}
		if _, err := s.Impair(ctx, "office-1", "office-1", link.Spec{Loss: 1}); err == nil {
			t.Error("impaired a link to itself")
		}
		if got := s.Impairments(); len(got) != 0 {
			t.Errorf("in force: %v", got)
		}
	})
}

// roundTrip is the least of three that ping says.
func roundTrip(t *testing.T, ctx context.Context, from *lab.Node, to string) time.Duration {
	t.Helper()
	r, err := from.Exec(ctx, "ping", "-c3", "-i0.2", "-q", to)
	_, times, ok := strings.Cut(r.Stdout, "rtt min/avg/max/mdev = ")
	least, _, _ := strings.Cut(times, "/")
	d, bad := time.ParseDuration(least + "ms")
	if err != nil || !ok || bad != nil {
		t.Fatalf("%s: ping %s: %v %+v", from.Name(), to, err, r)
	}
	return d
}
