package invariant

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

var address = netip.MustParseAddr("10.0.0.1")

// An address that somebody has is not taken, unless a fault may have kept his
// answer away.
func TestTaken(t *testing.T) {
	for _, tt := range []struct {
		kind string // of a fault that is in force; empty: none
		want string
	}{
		{"", "5s: free-address: a took 10.0.0.1 of segment office while b had it\n"},
		{fault.Squatter, "5s: free-address: a took 10.0.0.1 of segment office while b had it\n"},
		{fault.Kill, "5s: free-address: a took 10.0.0.1 of segment office while b had it\n"},
		{fault.Loss, ""},
		{fault.Pause, ""},
	} {
		c := New()
		if tt.kind != "" {
			c.Added(grid.Applied{ID: "f1", Fault: fault.Fault{Kind: tt.kind}})
		}
		f := grid.Facts{At: 6 * second, Takings: []grid.Taking{{At: 5 * second, Node: "a", Segment: "office", Address: address, From: "b"}}}
		if got := lines(c.Check(f)); got != tt.want {
			t.Errorf("under %q: got %q, want %q", tt.kind, got, tt.want)
		}
	}
}

// Who is insisted against has to go, if he can hear it; what began while he
// could not is excused until it is over.
func TestDisputed(t *testing.T) {
	loss := grid.Applied{ID: "f1", Fault: fault.Fault{Kind: fault.Loss}}
	dispute := grid.Dispute{Node: "a", Segment: "office", Address: address, With: "x"}
	c := New()
	said := func(at time.Duration, d ...grid.Dispute) string {
		return lines(c.Check(grid.Facts{At: at, Disputes: d}))
	}
	want := func(at time.Duration) string {
		text := fmt.Sprintf("a keeps 10.0.0.1 of segment office, which x has, for more than %s", settle)
		return lines([]Violation{{at, FreeAddress, text}})
	}
	if got := said(1*second, dispute) + said(settle+1*second, dispute); got != "" {
		t.Errorf("before it has lasted: %s", got)
	}
	if got := said(settle+2*second, dispute); got != want(settle+2*second) {
		t.Errorf("got %q", got)
	}

	c = New()
	if got := said(1*second, dispute) + said(2*second) + said(3*second, dispute) + said(settle+3*second, dispute); got != "" {
		t.Errorf("counted from when it was before: %s", got)
	}

	c = New()
	c.Added(loss)
	said(1*second, dispute)
	c.Healed(loss, 2*second)
	if got := said(3*settle, dispute); got != "" {
		t.Errorf("it may not have been heard: %s", got)
	}
	said(3*settle + 1*second)
	said(3*settle+2*second, dispute)
	if got := said(4*settle+3*second, dispute); got != want(4*settle+3*second) {
		t.Errorf("got %q", got)
	}
}
