package sim

import (
	"context"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

const day = 24 * time.Hour

// An AC that is ten days ahead takes its nodes along. When it is right again
// its certificate has expired by their clocks, and they go back with it as soon
// as they connect again.
func TestNodesGoBackWithTheirAC(t *testing.T) {
	ctx := context.Background()
	w, err := New(plan(t, 9), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	comesUp(t, w)
	if err := w.Wait(ctx, time.Minute); err != nil { // each has come to its best way
		t.Fatal(err)
	}
	former := ways(t, w)
	jump := fault.Fault{Kind: fault.ACClock, By: fault.Duration(10 * day), For: fault.Duration(30 * time.Second)}
	if _, err := w.Add(ctx, jump); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(ctx, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for _, n := range w.nodes {
		if ahead(w, n.Now()) > day {
			taken++
		}
	}
	if taken == 0 {
		t.Fatal("no node has gone along with the AC: nothing was tested")
	}
	if _, err := w.Add(ctx, fault.Fault{Kind: fault.ACKill, For: fault.Duration(time.Second)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(ctx, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	asBefore := func(nodes []grid.Node) bool {
		for _, n := range nodes {
			if !n.Managed() || n.Status.Way != former[n.Name] {
				return false
			}
		}
		return true
	}
	if err := w.Eventually(ctx, time.Minute, "all nodes managed by their former ways", asBefore); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.nodes {
		if off := ahead(w, n.Now()); off.Abs() > time.Minute {
			t.Errorf("%s is %s ahead", n.Name(), off)
		}
	}
	t.Logf("%d of %d had gone along", taken, len(w.nodes))
}

// A clock that is two days behind is put right, whether the AC's chain begins
// in its future or held already two days ago.
func TestClockTwoDaysBehind(t *testing.T) {
	for name, up := range map[string]time.Duration{"a fresh AC": 0, "an AC of 2.2 days": 11 * day / 5} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			p := plan(t, 3)
			for i := range p.Nodes {
				p.Nodes[i].Clock = -2 * day
			}
			w, err := New(p, Options{Seed: 1, Hold: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Wait(ctx, up); err != nil {
				t.Fatal(err)
			}
			if err := w.Boot(ctx); err != nil {
				t.Fatal(err)
			}
			comesUp(t, w)
			for _, n := range w.nodes {
				if off := ahead(w, n.Now()); off.Abs() > time.Minute {
					t.Errorf("%s is %s ahead", n.Name(), off)
				}
			}
		})
	}
}

// A clock that falls behind under a managed node is put right by the AC, whose
// chain held then already; the certificate, which begins in its future for a
// while, is not replaced for it.
func TestCertificateOutlivesAClock(t *testing.T) {
	ctx := context.Background()
	w, err := New(plan(t, 3), Options{Seed: 1, Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(ctx, day); err != nil {
		t.Fatal(err)
	}
	if err := w.Boot(ctx); err != nil {
		t.Fatal(err)
	}
	comesUp(t, w)
	issued := w.certificates(t)
	for _, n := range w.nodes {
		n.Jump(-day / 2)
		n.Kill()
		n.Start()
	}
	comesUp(t, w)
	for i, n := range w.nodes {
		if off := ahead(w, n.Now()); off.Abs() > time.Minute {
			t.Errorf("%s is %s ahead", n.Name(), off)
		}
		if now := w.certificates(t)[i]; now != issued[i] {
			t.Errorf("the certificate of %s was replaced because of its clock", n.Name())
		}
	}
}

// certificates are those that the nodes have on disk.
func (w *World) certificates(t *testing.T) (all []string) {
	t.Helper()
	for _, n := range w.nodes {
		text, err := n.Volume().ReadFile("/mnt/etc/ssl/client.crt")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// ahead is what a clock that shows a time is ahead of the grid's.
func ahead(w *World, shows time.Time) time.Duration { return shows.Sub(Epoch.Add(w.Elapsed())) }

func ways(t *testing.T, w *World) map[string]string {
	t.Helper()
	nodes, err := w.Nodes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, n := range nodes {
		all[n.Name] = n.Status.Way
	}
	return all
}

// A certificate of an AC that was ahead does not keep a node on fallback: when
// the AC is right again it refuses it where the better way leads, and the node
// has it renewed over the way that stands.
func TestCertificateFromTheFutureAndABetterWay(t *testing.T) {
	ctx := context.Background()
	w, err := New(plan(t, 3), Options{Seed: 1, Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []fault.Fault{{Kind: fault.ACClock, By: fault.Duration(time.Hour)}, {Kind: fault.DHCPSilent, On: "dhcp"}} {
		if _, err := w.Add(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Boot(ctx); err != nil {
		t.Fatal(err)
	}
	comesUp(t, w)
	if way := ways(t, w)["dhcp-1"]; way != "fallback" {
		t.Fatalf("dhcp-1 is managed over %s: nothing is tested", way)
	}
	if err := w.HealAll(ctx); err != nil {
		t.Fatal(err)
	}
	onDHCP := func(nodes []grid.Node) bool { return allManaged(nodes) && ways(t, w)["dhcp-1"] == "dhcp" }
	if err := w.Eventually(ctx, 90*time.Second, "dhcp-1 is managed over its lease", onDHCP); err != nil {
		t.Fatal(err)
	}
}

// A machine whose battery is empty has no reckoning of its own but what the
// first AC told it: it goes back to that, when an AC has set it ahead.
func TestAnEmptyBatteryAndAnACTenDaysAhead(t *testing.T) {
	p := plan(t, 3)
	for i := range p.Nodes {
		p.Nodes[i].Clock = -60 * 365 * 24 * time.Hour
	}
	w, err := New(p, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := w.Eventually(ctx, time.Minute, "managed", allManaged); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"ac-clock by=240h for=30s", "lose-session for=5s"} {
		f, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Wait(ctx, 31*time.Second); err != nil {
		t.Fatal(err)
	}
	f, _ := fault.Parse("lose-session for=1s")
	if _, err := w.Add(ctx, f); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(ctx, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := w.Eventually(ctx, time.Minute, "managed again", allManaged); err != nil {
		t.Error(err)
	}
}
