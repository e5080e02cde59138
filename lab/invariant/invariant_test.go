package invariant

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

const second = time.Second

// managed is a node that is, with an address on a segment.
func managed(name, segment, address string) grid.Node {
	return grid.Node{
		Name: name, Segment: segment, Powered: true, Running: true, Status: api.Status{Phase: "managed"},
		Holdings: []grid.Holding{{NIC: "eth0", Segment: segment, Address: netip.MustParsePrefix(address)}},
	}
}

func duplicate(at time.Duration) grid.Duplicate {
	return grid.Duplicate{At: at, Segment: "office", Address: netip.MustParseAddr("10.0.0.1"), Nodes: [2]string{"a", "b"}}
}

func lines(all []Violation) string {
	var b strings.Builder
	for _, v := range all {
		b.WriteString(v.String() + "\n")
	}
	return b.String()
}

func TestEachInvariant(t *testing.T) {
	at := 5 * second
	for _, tt := range []struct {
		name  string
		facts grid.Facts
		want  string
	}{
		{"nothing", grid.Facts{}, ""},
		{"two on one address", grid.Facts{Duplicates: []grid.Duplicate{duplicate(at)}}, "5s: one-address: 10.0.0.1 of segment office is used by a and b\n"},
		{"a proved share", grid.Facts{Releases: []grid.Release{{At: at, Node: "a", State: "enrolled", Proved: true}}}, ""},
		{"nothing was proved", grid.Facts{Releases: []grid.Release{{At: at, Node: "a", State: "enrolled"}}}, "5s: proved-unlock: a share of a left for somebody who had not proved to be it\n"},
		{"not enrolled", grid.Facts{Releases: []grid.Release{{At: at, Node: "a", State: "pending", Proved: true}}}, "5s: proved-unlock: a share of a left while it was pending\n"},
		{"a disk that went back", grid.Facts{Releases: []grid.Release{{At: at, Node: "a", State: "enrolled", Proved: true, Stale: true}}}, "5s: one-self: a share of a left for a disk that was a copy, or had gone back\n"},
		{"an AC", grid.Facts{Trusts: []grid.Trust{{At: at, Node: "a", Server: "ac1", Genuine: true}}}, ""},
		{"a stranger", grid.Facts{Trusts: []grid.Trust{{At: at, Node: "a", Server: "x"}}}, "5s: pinned-ca: a took x for an AC\n"},
		{"for itself", grid.Facts{Acts: []grid.Act{{At: at, Node: "a", For: "a", What: "certificate"}}}, ""},
		{"for another", grid.Facts{Acts: []grid.Act{{At: at, Node: "a", For: "b", What: "certificate"}}}, "5s: own-identity: a was granted certificate for b\n"},
		{"in clear", grid.Facts{At: at, Plaintext: []string{"a"}}, "5s: ciphertext: plaintext of the volume is on the disk of a\n"},
		{"a job that is done", grid.Facts{At: at, Jobs: []grid.Job{{ID: "j", Node: "a", Started: 1, Told: true, Output: 3, Expected: 3}}}, ""},
		{"a job that goes on", grid.Facts{At: at, Jobs: []grid.Job{{ID: "j", Node: "a", Started: 1, Output: 1, Expected: 3}}}, ""},
		{"a job that was told lost", grid.Facts{At: at, Jobs: []grid.Job{{ID: "j", Node: "a", Told: true, Lost: true, Expected: 3}}}, ""},
		{"a job that ran twice", grid.Facts{At: at, Jobs: []grid.Job{{ID: "j", Node: "a", Started: 2}}}, "5s: nothing-lost: job j ran 2 times on a\n"},
		{"a job that never ran", grid.Facts{At: at, Jobs: []grid.Job{{ID: "j", Node: "a", Told: true}}}, "5s: nothing-lost: job j on a was reported as done and never ran\n"},
		{"output that is lost", grid.Facts{At: at, Jobs: []grid.Job{{ID: "j", Node: "a", Started: 1, Told: true, Output: 2, Expected: 3}}}, "5s: nothing-lost: job j on a: 2 of 3 pieces of output arrived\n"},
		{"output that came twice", grid.Facts{At: at, Jobs: []grid.Job{{ID: "j", Node: "a", Started: 1, Told: true, Output: 4, Expected: 3}}}, "5s: nothing-lost: job j on a: 4 of 3 pieces of output arrived\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := New()
			if got := lines(c.Check(tt.facts)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := lines(c.Check(tt.facts)); got != "" {
				t.Errorf("it is said again: %q", got)
			}
		})
	}
}

// A segment on which ARP packets may get lost is given time; one that has no
// such fault is not.
func TestDisturbedSegment(t *testing.T) {
	for _, tt := range []struct {
		kind      string
		healed    time.Duration // 0: never
		at        time.Duration
		tolerated bool
	}{
		{fault.Partition, 0, 20 * second, true},
		{fault.Partition, 60 * second, 60*second + settle - 1, true},
		{fault.Partition, 60 * second, 60*second + settle, false},
		{fault.Loss, 0, 20 * second, true},
		{fault.Squatter, 0, 20 * second, true},
		{fault.DHCPSilent, 0, 20 * second, false},
		{fault.ACKill, 0, 20 * second, false},
	} {
		c, a := New(), grid.Applied{ID: "f1", Fault: fault.Fault{Kind: tt.kind}}
		c.Added(a)
		if tt.healed > 0 {
			c.Healed(a, tt.healed)
		}
		got := c.Check(grid.Facts{At: tt.at, Duplicates: []grid.Duplicate{duplicate(tt.at)}})
		if (len(got) == 0) != tt.tolerated {
			t.Errorf("%s, healed at %s, duplicate at %s: %s", tt.kind, tt.healed, tt.at, lines(got))
		}
	}
}

// Two who hear each other and keep one address all the same are found, however
// they came to it; time under a fault does not count.
func TestLastingDuplicate(t *testing.T) {
	c, p := New(), grid.Applied{ID: "f1", Fault: fault.Fault{Kind: fault.Partition}}
	nodes := []grid.Node{managed("a", "office", "10.0.0.1/24"), managed("b", "office", "10.0.0.1/24")}
	c.Added(p)
	said := func(at time.Duration, n ...grid.Node) string { return lines(c.Check(grid.Facts{At: at, Nodes: n})) }
	for at := range 10 {
		if got := said(time.Duration(at)*10*second, nodes...); got != "" {
			t.Fatalf("under a partition: %s", got)
		}
	}
	c.Healed(p, 91*second)
	if got := said(120*second, nodes...); got != "" {
		t.Errorf("within the time it takes to hear of it: %s", got)
	}
	if got := said(121*second, nodes[0]); got != "" {
		t.Errorf("one has gone: %s", got)
	}
	if got := said(122*second, nodes...) + said(167*second, nodes...); got != "" {
		t.Errorf("counted from when they shared it before: %s", got)
	}
	want := "2m48s: one-address: 10.0.0.1 of segment office is used by a and b for more than 45s\n"
	if got := said(168*second, nodes...); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := said(169*second, nodes...); got != "" {
		t.Errorf("it is said again: %s", got)
	}
}

func TestShared(t *testing.T) {
	climbing := managed("c", "office", "10.0.0.1/24")
	climbing.Status.Phase = "unlock"
	two := managed("b", "office", "10.0.0.2/24")
	two.Holdings = append(two.Holdings, two.Holdings[0])
	for _, tt := range []struct {
		name  string
		nodes []grid.Node
		want  string
	}{
		{"shared", []grid.Node{managed("a", "office", "10.0.0.1/24"), managed("b", "office", "10.0.0.1/16")}, "a b"},
		{"another segment", []grid.Node{managed("a", "office", "10.0.0.1/24"), managed("b", "dhcp", "10.0.0.1/24")}, ""},
		{"no cable", []grid.Node{managed("a", "", "10.0.0.1/24"), managed("b", "", "10.0.0.1/24")}, ""},
		{"not managed", []grid.Node{managed("a", "office", "10.0.0.1/24"), climbing}, ""},
		{"twice its own", []grid.Node{two}, ""},
	} {
		var got []string
		for _, d := range Shared(grid.Facts{Nodes: tt.nodes}) {
			got = append(got, strings.Join(d.Nodes[:], " "))
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSettled(t *testing.T) {
	waits := grid.Node{Name: "b", Powered: true, Running: true, Status: api.Status{Phase: "network", WaitsFor: "a lease", LastError: "no answer"}}
	facts := grid.Facts{At: 90 * second, Nodes: []grid.Node{
		managed("a", "office", "10.0.0.1/24"), waits, {Name: "c", Powered: true}, {Name: "d"},
	}, Jobs: []grid.Job{{ID: "j1", Node: "a", Told: true}, {ID: "j2", Node: "b"}}}
	want := `1m30s: recovers: b is in network, 1m0s after the last fault ended: waits for "a lease", last error "no answer"
1m30s: recovers: c is in down, 1m0s after the last fault ended: waits for "", last error ""
1m30s: nothing-lost: job j2 on b: nobody was told what became of it
`
	if got := lines(New().Settled(facts, time.Minute)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := lines(New().Settled(facts, time.Minute, "b", "c")); strings.Contains(got, "recovers") {
		t.Errorf("those that are excused are not: %s", got)
	}
}

// Every invariant has a text, and its name is said when it does not hold.
func TestAll(t *testing.T) {
	for _, i := range All() {
		if i.Name == "" || i.Doc == "" {
			t.Errorf("%q: %q", i.Name, i.Doc)
		}
	}
	if n := len(All()); n != 11 {
		t.Errorf("%d invariants, want 11", n)
	}
}
