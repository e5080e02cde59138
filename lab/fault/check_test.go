package fault

import (
	"errors"
	"strings"
	"testing"

	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

func grid(t *testing.T) *topology.Plan {
	t.Helper()
	top, err := topology.Parse(topologies.DefaultFile, topologies.Default)
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan("x")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCheckPasses(t *testing.T) {
	p := grid(t)
	for _, text := range []string{
		"partition for=1s",
		"partition from=office-1",
		"partition from=dhcp.dhcp to=ac1 both",
		"loss to=ac1 percent=100",
		"delay from=office-1 to=office-2 delay=50ms jitter=5ms both for=1m",
		"reorder percent=5 delay=10ms",
		"rate rate=8mbit",
		"cable on=office-1 nic=eth0",
		"clock on=office-1 by=-48h",
		"move on=office-1 to=dhcp",
		"dhcp-in-use on=dhcp address=192.168.8.20",
		"dhcp-foreign on=isolated",
		"squatter on=isolated address=10.254.254.7",
		"ac-kill",
		"ac-clock on=ac1 by=24h",
		"outage on=ac1 nodes=office-1,dhcp-2 for=20s",
		"revoke",
	} {
		f, err := Parse(text)
		if err == nil {
			err = Check(f, p, "sim")
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	p := grid(t)
	for _, tt := range []struct{ fidelity, text, want string }{
		{"sim", "partition from=office-9", `fault partition: machine "office-9": no such thing; there are office-1, office-2, dhcp-1, dhcp-2, isolated-1, isolated-2, ac1, dhcp.dhcp`},
		{"sim", "partition from=office-1 to=office-1", "fault partition: from and to are both office-1: want two machines"},
		{"sim", "partition from=office-1 to=dhcp-1", "fault partition: office-1 and dhcp-1 have no segment in common"},
		{"sim", "partition both", "fault partition: from and to are everybody, so both says nothing; leave it out"},
		{"sim", "partition percent=5", "fault partition: it has no percent; it takes from, to, both, for"},
		{"sim", "loss", "fault loss: percent is missing"},
		{"sim", "loss percent=0", "fault loss: percent is missing"},
		{"sim", "loss percent=101", "fault loss: percent 101: want above 0 to 100"},
		{"sim", "loss percent=-1", "fault loss: percent -1: want above 0 to 100"},
		{"sim", "delay delay=-5ms", "fault delay: a time below zero: want one above it"},
		{"sim", "delay delay=5ms jitter=-5ms", "fault delay: a time below zero: want one above it"},
		{"sim", "kill on=office-1 for=-1s", "fault kill: a time below zero: want one above it"},
		{"sim", "kill", "fault kill: on is missing"},
		{"sim", "kill on=ac1", `fault kill: node "ac1": no such thing; there are office-1, office-2, dhcp-1, dhcp-2, isolated-1, isolated-2`},
		{"sim", "cable on=office-1 nic=eth7", `fault cable: NIC of office-1 "eth7": no such thing; there are eth0`},
		{"sim", "move on=office-1 to=cellar", `fault move: segment "cellar": no such thing; there are office, dhcp, isolated`},
		{"sim", "move on=office-1 to=office", "fault move: eth0 of office-1 is plugged into office already"},
		{"sim", "damage-slots on=office-1 for=5s", "fault damage-slots: it has no for; it takes on"},
		{"sim", "dhcp-silent on=cellar", `fault dhcp-silent: segment "cellar": no such thing; there are office, dhcp, isolated`},
		{"sim", "dhcp-silent on=office", "fault dhcp-silent: segment office has no DHCP server"},
		{"sim", "squatter on=office address=::1", "fault squatter: address ::1: want an IPv4 address"},
		{"sim", "ac-kill on=ac9", `fault ac-kill: AC "ac9": no such thing; there are ac1`},
		{"sim", "outage nodes=office-1,x", `fault outage: node "x": no such thing; there are office-1, office-2, dhcp-1, dhcp-2, isolated-1, isolated-2`},
		{"netns", "store-lost", "fault store-lost: not at fidelity netns: the store is in the ACs themselves: with three of them, ac-kill on two takes its quorum"},
		{"dream", "kill on=office-1", "fault kill: fidelity dream: want sim, netns or vm"},
	} {
		f, err := Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(f, p, tt.fidelity); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestUnknown(t *testing.T) {
	err := Check(Fault{Kind: "gremlin"}, grid(t), "sim")
	if !errors.Is(err, ErrUnknown) || !strings.HasPrefix(err.Error(), `fault "gremlin": no such thing; there are partition, loss,`) {
		t.Errorf("got %v", err)
	}
	many := make([]string, 40)
	if err := known("node", "x", many); !strings.HasSuffix(err.Error(), "… (40 in all)") {
		t.Errorf("forty names are all listed: %v", err)
	}
}

// Every kind says what it is, and knows only fields that a fault has.
func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if seen[k.Name] || k.Doc == "" {
			t.Errorf("%s: is there twice or has no text", k.Name)
		}
		seen[k.Name] = true
		given := full(k).given()
		for _, name := range append(k.Needs, k.Takes...) {
			found := false
			for _, g := range given {
				found = found || g == name
			}
			if !found {
				t.Errorf("%s: has a field %s that no fault has", k.Name, name)
			}
		}
		for fidelity, why := range k.Not {
			if why == "" {
				t.Errorf("%s: does not say why it is not at %s", k.Name, fidelity)
			}
		}
	}
	if !Armed("outage") || Armed(Kill) {
		t.Error("outage is armed at an AC, kill is not")
	}
}

func TestShared(t *testing.T) {
	p := grid(t)
	for _, tt := range []struct{ a, b, want string }{
		{"office-1", "ac1", "office"}, {"", "ac1", "office dhcp isolated"}, {"", "", "office dhcp isolated"}, {"office-1", "dhcp-1", ""},
	} {
		if got := strings.Join(Shared(p, tt.a, tt.b), " "); got != tt.want {
			t.Errorf("%s and %s share %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}
