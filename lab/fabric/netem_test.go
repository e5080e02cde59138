package fabric

import (
	"errors"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/impair/probe"
)

func TestIsLate(t *testing.T) {
	for _, yes := range []link.Spec{{Delay: 1}, {Delay: 1, Jitter: 1}} {
		if !isLate(yes) {
			t.Errorf("%s: want a cable", yes)
		}
	}
	for _, no := range []link.Spec{{}, {Jitter: 1}, {Delay: 1, Loss: 1}, {Delay: 1, Rate: 1}, {Loss: 100}, {Delay: 1, Reorder: 1}} {
		if isLate(no) {
			t.Errorf("%s: want the shaper", no)
		}
	}
}

func TestMerge(t *testing.T) {
	via := map[string]conduit{"a": {in: 1, out: 1, tag: 1}, "b": {in: 1, out: 1, tag: 2}, "c": {in: 1, out: 1, tag: 3, gone: true}}
	cables := map[string]conduit{"b": {in: 2, out: 3, gone: true}, "c": {in: 4, out: 5}, "d": {in: 6, out: 7}}
	want := map[string]conduit{"a": via["a"], "b": via["b"], "c": cables["c"], "d": cables["d"]}
	if got := merge(via, cables); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := merge(via, nil); !maps.Equal(got, via) {
		t.Errorf("got %v, want %v", got, via)
	}
}

// TestNetem: a cable is late where the kernel has netem; where not, that is
// found out, and nothing is left of finding out.
func TestNetem(t *testing.T) {
	ctx, s := newMachine(t)
	has, err := s.hasNetem()
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.handle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if links, err := h.LinkList(); err != nil || len(links) != 1 {
		t.Errorf("%v, %v: want lo", links, err)
	}
	spec := link.Spec{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}
	c := cableOf("a>b")
	err = c.lay(h, "", netem, spec)
	if !has {
		if !errors.Is(err, unix.ENOENT) {
			t.Errorf("a kernel without netem makes cables late: %v", err)
		}
		return
	}
	if err == nil {
		err = c.lay(h, "", netem, spec) // again, as it is
	}
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*probe.Socket
	for i, name := range []string{c.in, c.out} {
		if ends[i], err = probe.Open(s.m.NetNS(), name, false); err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	e := probe.Ends{From: net.HardwareAddr{2, 0, 0, 0, 0, 1}, To: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Send: ends[0].Send, Receive: ends[1]}
	plan := probe.PlanFor(spec)
	plan.Frames, plan.Gap = 200, 2*time.Millisecond
	r, err := probe.Run(ctx, plan, e)
	// How late most are says how busy the machine is; a wrong unit is a factor of 15 or more.
	if err != nil || r.Lost() > 0 || r.Least < 19*time.Millisecond || r.Least > 200*time.Millisecond || r.Overtaken == 0 {
		t.Errorf("20 to 30 ms: got %+v, %v", r, err)
	}
}

// TestCables lays cables with a discipline that every kernel has in the place
// of netem, and steers frames through them.
func TestCables(t *testing.T) {
	ctx, s := newSwitch(t)
	a := newTaps(t, ctx, s, "a", "b", "c")
	slow := func(index int, _ link.Spec) netlink.Qdisc {
		return &netlink.Tbf{QdiscAttrs: root(index), Rate: 1e6, Limit: 1 << 20, Buffer: 1 << 20}
	}
	steer := func(r Rules) map[string]conduit {
		t.Helper()
		all, err := s.Ports(ctx)
		if err != nil {
			t.Fatal(err)
		}
		bad := pairs(r, all)
		via, err := s.late(ctx, "x", bad, slow)
		if err == nil {
			err = s.replace(ctx, "x", flows(bad, all, via))
		}
		if err != nil {
			t.Fatal(err)
		}
		return via
	}
	arrives := func(from, at string, to net.HardwareAddr, mark uint32, want int) {
		t.Helper()
		a.send(t, from, to, mark)
		got := 0
		for within := patient; ; within = quiet {
			if want == 0 {
				within = quiet
			}
			if _, ok := a.arrives(t, at, mark, within); !ok {
				break
			}
			got++
		}
		if got != want {
			t.Errorf("%s to %s (%s): arrived %d times, want %d", from, at, to, got, want)
		}
	}
	through := func(name string) (in, out uint64) {
		t.Helper()
		h, err := s.handle()
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		l, err := h.LinkByName(cableOf(name).in)
		if err != nil {
			return 0, 0
		}
		return l.Attrs().Statistics.RxPackets, l.Attrs().Statistics.TxPackets
	}

	const link1 = "a/eth0>b/eth0"
	via := steer(Rules{Impaired: []Impairment{{"a", "b", link.Spec{Delay: time.Second}}}})
	if c := via[link1]; len(via) != 1 || c.in == c.out || c.gone {
		t.Fatalf("got %v", via)
	}
	arrives("a", "b", a.mac("b"), 2001, 1)
	arrives("a", "b", everybody, 2002, 1)
	arrives("a", "c", everybody, 2003, 1)
	if in, out := through(link1); in != 0 || out != 3 {
		t.Errorf("%d frames came back and %d went through the cable, want 0 and 3", in, out)
	}
	arrives("c", "b", everybody, 2004, 1)
	arrives("b", "a", a.mac("a"), 2005, 1)
	if _, out := through(link1); out != 3 {
		t.Errorf("frames of others went through the cable: %d in all", out)
	}
	if c := steer(Rules{})[link1]; !c.gone || c.in != via[link1].in {
		t.Errorf("well again: got %+v, want the same cable, gone", c)
	}
	arrives("a", "b", a.mac("b"), 2006, 1)
	if got := steer(Rules{}); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
	if _, out := through(link1); out != 0 {
		t.Error("the cable is still there")
	}
}
