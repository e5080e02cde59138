package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/fault"
)

// What a node takes from another, and what it has together with a stranger, is
// seen; what it has alone is not.
func TestAddressesOfOthers(t *testing.T) {
	w, err := New(plan(t, 0), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	comesUp(t, w)
	if f, _ := w.Facts(ctx); len(f.Takings) > 0 || len(f.Disputes) > 0 {
		t.Fatalf("taken %v, disputed %v", f.Takings, f.Disputes)
	}
	one, two := w.byName["office-1"], w.byName["office-2"]
	has := one.Host.NICs[0].Addresses()
	x := w.net.Host("stranger").NIC("eth0", "02:00:00:00:00:01", w.segments["office"])
	x.Host.Powered, x.Up = true, true
	x.SetAddresses(has)
	two.Host.NICs[0].SetAddresses(append(slices.Clone(two.Host.NICs[0].Addresses()), has...))
	w.Addresses(two.Node)
	w.Addresses(two.Node) // is no second time
	f, _ := w.Facts(ctx)
	if len(f.Takings) != 1 || f.Takings[0].Node != "office-2" || f.Takings[0].From != "office-1" || f.Takings[0].Address != has[0].Addr() {
		t.Errorf("taken: %v", f.Takings)
	}
	if len(f.Disputes) != 1 || f.Disputes[0].Node != "office-1" || f.Disputes[0].With != "stranger" {
		t.Errorf("disputed: %v", f.Disputes)
	}
	x.SetAddresses([]netip.Prefix{})
	if f, _ := w.Facts(ctx); len(f.Takings) > 0 || len(f.Disputes) > 0 {
		t.Errorf("taken %v, disputed %v", f.Takings, f.Disputes)
	}
}

// Two machines that have an address without a g8os_core that would give it up,
// and somebody who insists on it, do not fill the segment with answers: a kernel
// says nothing to an announcement.
func TestAnnouncementIsNotAnswered(t *testing.T) {
	w, err := New(plan(t, 0), Options{Seed: 1, Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	has := []netip.Prefix{netip.MustParsePrefix("192.168.7.99/24")}
	for i := range 3 {
		h := w.net.Host(fmt.Sprintf("stranger-%d", i))
		x := h.NIC("eth0", fmt.Sprintf("02:00:00:00:00:0%d", i), w.segments["office"])
		h.Powered, x.Up = true, true
		x.SetAddresses(has)
	}
	f := fault.Fault{Kind: fault.Squatter, On: "office", Address: has[0].Addr()}
	if _, err := w.Add(context.Background(), f); err != nil {
		t.Fatal(err)
	}
	before := w.Events()
	if err := w.Wait(context.Background(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n := w.Events() - before; n > 100 {
		t.Errorf("%d events in 100 ms", n)
	}
}

// A lease that is over counts against a node that could have known, not while
// its g8os_core is down.
func TestOverstayNeedsSomebodyToBlame(t *testing.T) {
	w, err := New(plan(t, 0), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	comesUp(t, w)
	k := w.byName["dhcp-1"]
	if _, err := w.Add(ctx, fault.Fault{Kind: fault.Kill, On: "dhcp-1"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(ctx, 11*time.Minute); err != nil { // the lease is of 10
		t.Fatal(err)
	}
	if got := w.overstayed(); len(got) > 0 || len(k.Host.NICs[0].Addresses()) == 0 {
		t.Errorf("it is down and has %v: %v", k.Host.NICs[0].Addresses(), got)
	}
	other := w.byName["dhcp-2"]
	old := k.Host.NICs[0].Addresses()
	k.Host.NICs[0].SetAddresses(nil)
	other.Host.NICs[0].SetAddresses(append(slices.Clone(other.Host.NICs[0].Addresses()), old...))
	other.Host.NICs[0].MAC = k.Host.NICs[0].MAC
	if got := w.overstayed(); len(got) != 1 || got[0].Node != "dhcp-2" {
		t.Errorf("who runs, and uses it: %v", got)
	}
}

// A counter that comes again is a copy of the disk, unless an operator has let
// the node in anew.
func TestCounterThatWentBack(t *testing.T) {
	w, err := New(plan(t, 0), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	comesUp(t, w)
	k := w.byName["office-1"]
	record := api.Node{ID: api.NodeID(w.idOf("office-1")), State: api.NodeEnrolled}
	release := func(counter uint64) bool {
		w.Released(w.acs[0], "office-1", record, nil, counter)
		f, _ := w.Facts(ctx)
		return f.Releases[len(f.Releases)-1].Stale
	}
	first := k.count
	for _, tt := range []struct {
		counter uint64
		stale   bool
	}{{first, true}, {first + 5, false}, {first + 5, true}, {first + 4, true}, {first + 6, false}} {
		if got := release(tt.counter); got != tt.stale {
			t.Errorf("counter %d after %d: stale is %v", tt.counter, first, got)
		}
	}
	if err := w.Approve(ctx, "office-1"); err != nil {
		t.Fatal(err)
	}
	if release(1) {
		t.Error("an operator has let it in, and its counter is not believed")
	}
}
