package report

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/topologies"
)

const second = time.Second

// example is a run in which something went wrong.
func example() *record.Record {
	kill := fault.Fault{Kind: fault.Kill, On: "office-1", For: fault.Duration(8 * second)}
	loss := fault.Fault{Kind: fault.Loss, From: "dhcp-1", Both: true, Percent: 12, For: fault.Duration(20 * second)}
	damage := fault.Fault{Kind: fault.DamageSlot, On: "office-2"}
	squat := fault.Fault{Kind: fault.Squatter, On: "office", Address: netip.MustParseAddr("192.168.7.10")}
	at := func(n float64) time.Duration { return time.Hour + time.Duration(n*float64(second)) }
	return &record.Record{
		Head: record.Head{
			Version: 1, MadeBy: "1.2.3", What: "chaos <power>", Fidelity: "netns", Lab: "x", Seed: 42, Topology: string(topologies.Default),
			Schedule: fault.Schedule{{At: fault.Duration(5 * second), Fault: kill}},
		},
		Events: []grid.Event{{At: at(60), Who: "run", What: "check", Text: "everything is healed"}, {At: at(6), Who: "ac1", What: "note", Text: "<b>session</b> lost"}},
		Faults: []grid.Applied{
			{ID: "f1", Fault: kill, Asked: at(5), InForce: at(5.04), Healed: at(13), Measured: grid.Measured{How: "process 4711 is gone"}},
			{ID: "f2", Fault: loss, Asked: at(10), InForce: at(11), Healed: at(31), Measured: grid.Measured{How: "113 of 1000 frames dropped", Percent: 11.3, Packets: 1000}},
			{ID: "f3", Fault: damage, Asked: at(40), InForce: at(40.01)},
			{ID: "f4", Fault: squat, Asked: at(45), InForce: at(46), Healed: at(60)},
		},
		Phases: []run.Phase{
			{At: at(0), Node: "office-1", Phase: "managed"}, {At: at(0), Node: "office-2", Phase: "managed"}, {At: at(0), Node: "dhcp-1", Phase: "managed"},
			{At: at(0), Node: "dhcp-2", Phase: "managed"}, {At: at(0), Node: "isolated-1", Phase: "managed"}, {At: at(0), Node: "isolated-2", Phase: "managed"},
			{At: at(6), Node: "office-1", Phase: "down"}, {At: at(14), Node: "office-1", Phase: "network"}, {At: at(17), Node: "office-1", Phase: "unlock"},
			{At: at(18), Node: "office-1", Phase: "managed"}, {At: at(25), Node: "dhcp-1", Phase: "network"}, {At: at(47), Node: "office-1", Phase: "network"},
		},
		Violations: []invariant.Violation{
			{At: at(52), Invariant: invariant.ProvedUnlock, Text: "a share of dhcp-2 left for somebody who had not proved to be it"},
			{At: at(120), Invariant: invariant.Recovers, Text: `dhcp-1 is in network, 1m0s after the last fault ended: waits for "a lease", last error ""`},
		},
		End: record.End{Verdict: run.Violated, Why: "1h0m52s: proved-unlock: a share of dhcp-2 left", Began: at(0), Ended: at(120), Took: 2 * time.Minute, Checks: 121},
	}
}

func html(t *testing.T, r *record.Record) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r, "runs/a.g8run"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	page := html(t, example())
	for _, want := range []string{
		`<header class="violated">`, "Violated: something that must hold did not", "g8lab replay runs/a.g8run",
		`<b>52s</b> &ensp;<code>proved-unlock</code> <span class="dim">a key share leaves an AC only`,
		`In force then: <code>f4 squatter on=office address=192.168.7.10</code>`, "No fault was in force then.",
		"<td>5s<td>40ms<td>process 4711 is gone<td>13s</tr>", "113 of 1000 frames dropped; 11.3 %; 1000 packets",
		"<td>happened once</tr>", "3 nodes never changed their phase", "isolated-1", "chaos &lt;power&gt;", "&lt;b&gt;session&lt;/b&gt; lost",
		"office-1: down from 6s for 8s", "52s after it began, proved-unlock: a share of dhcp-2",
		"At the end 4 of 6 nodes were managed; office-1 in network, dhcp-1 in network.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template refuses a value")
	}
	if found := regexp.MustCompile(`(src|href|url)[=(]["']?(https?:|//)`).FindString(page); found != "" {
		t.Errorf("it needs something from elsewhere: %s", found)
	}
}

// A record that broke off, and one in which nothing happened, can be shown too.
func TestOtherRecords(t *testing.T) {
	r := example()
	r.End = record.End{Verdict: run.BrokenOff, Why: "whoever ran it ended before the run did", Ended: time.Hour + 90*second}
	page := html(t, r)
	if !strings.Contains(page, `<header class="broken">`) || !strings.Contains(page, "<td>5s<td>40ms") {
		t.Error("a run that broke off is not shown by its own time")
	}
	empty := &record.Record{Head: r.Head, End: record.End{Verdict: run.Passed, Hash: "00ff", Ended: time.Hour, Took: second}}
	if page := html(t, empty); !strings.Contains(page, "3600 × real time") || !strings.Contains(page, `<header class="passed">`) {
		t.Error("an empty record is not shown")
	}
	r.Topology = "nonsense"
	if err := HTML(&bytes.Buffer{}, r, "x"); err == nil {
		t.Error("a record without a topology is shown")
	}
}

// big is a run of many nodes, all of which lose their AC, and some more than that.
func big(nodes int) *record.Record {
	r := example()
	r.Topology = "segments: [{name: a, subnet: 10.0.0.0/8}]\nacs: [{name: ac1, legs: [{segment: a, address: 10.0.0.2}]}]\n" +
		fmt.Sprintf("nodes:\n  - {name: n, count: %d, nics: [{segment: a, method: static}]}\n", nodes)
	r.Phases, r.Violations[1].Text = nil, "n-777 is in network"
	for i := range nodes {
		name := fmt.Sprintf("n-%d", i+1)
		for k, phase := range []string{"managed", "network", "unlock", "managed", "network", "managed"} {
			if k == 0 || i%3 > 0 {
				r.Phases = append(r.Phases, run.Phase{At: time.Hour + time.Duration(k*15+i%15)*second, Node: name, Phase: phase})
			}
		}
	}
	for i := range 400 {
		f := r.Faults[i%3]
		f.ID, f.Asked = fmt.Sprintf("f%d", i), f.Asked+time.Duration(i)*second/4
		f.InForce, f.Healed = f.Asked+second/20, f.Asked+5*second
		r.Faults = append(r.Faults, f)
	}
	return r
}

// With a thousand nodes the page stays small, and who is accused comes first.
func TestThousandNodes(t *testing.T) {
	r := big(1000)
	begun := time.Now()
	page := html(t, r)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	p, err := view(r, "x")
	if err != nil {
		t.Fatal(err)
	}
	l := p.Timeline
	if len(l.Nodes) != maxRows || len(l.Folded) != maxFolded || len(l.Nodes)+len(l.Folded)+len(l.Quiet)+l.Undrawn != 1000 {
		t.Errorf("%d rows, %d folded, %d quiet, %d not drawn", len(l.Nodes), len(l.Folded), len(l.Quiet), l.Undrawn)
	}
	if l.Nodes[0].Name != "n-777" {
		t.Errorf("the first is %s, want the one that is accused", l.Nodes[0].Name)
	}
	if len(l.Faults) > 60 {
		t.Errorf("%d lines of faults", len(l.Faults))
	}
}

// However much failed, what is shown can be read.
func TestManyFailures(t *testing.T) {
	r := big(100)
	for range 1000 {
		r.Violations = append(r.Violations, r.Violations[0])
	}
	p, err := view(r, "x")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Failures) != maxFailures || p.MoreFailures != 1002-maxFailures || len(p.Failures[0].Active) != maxNamed+1 {
		t.Errorf("%d failures and %d more, %q in force", len(p.Failures), p.MoreFailures, p.Failures[0].Active)
	}
}

// Bars are within the page, one after the other, and no two faults of a line
// are drawn over each other.
func TestRows(t *testing.T) {
	p, err := view(big(20), "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range [][]row{p.Timeline.Nodes, p.Timeline.Faults} {
		for _, r := range rows {
			end := 0.0
			for _, b := range r.Bars {
				if b.Left < 0 || b.Left+b.Width > 100.001 || b.Width < 0 || b.Left < end-0.001 {
					t.Errorf("%s: %+v begins before %g or leaves the page", r.Name, b, end)
				}
				end = b.Left + b.Width
			}
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		40 * time.Millisecond: "40ms", 12345 * time.Millisecond: "12.3s", 61234 * time.Millisecond: "1m1s", -5 * second: "-5s", 0: "0s",
	} {
		if got := short(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
