package fabric

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/impair/probe"
)

// taps are ports of a segment whose frames the test writes and reads.
type taps struct {
	s     *Switch
	ports map[string]Port
	files map[string]*os.File
}

func newTaps(t *testing.T, ctx context.Context, s *Switch, names ...string) taps {
	t.Helper()
	all := taps{s, map[string]Port{}, map[string]*os.File{}}
	var ports []Port
	for i, name := range names {
		p := Port{Machine: name, NIC: "eth0", MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i + 1)}.String(), Segment: "x"}
		f, err := s.PlugTap(p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		all.ports[name], all.files[name], ports = p, f, append(ports, p)
	}
	if err := s.Connect(ctx, "t", []string{"x"}, ports); err != nil {
		t.Fatal(err)
	}
	for i, name := range names[1:] { // until the switch passes frames
		if err := passes(ctx, all.files[name], all.files[names[0]], byte(i)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (a taps) mac(name string) net.HardwareAddr {
	mac, _ := net.ParseMAC(a.ports[name].MAC)
	return mac
}

// send sends a frame that no other is like.
func (a taps) send(t *testing.T, from string, to net.HardwareAddr, mark uint32) {
	t.Helper()
	f := append(append(bytes.Clone(to), a.mac(from)...), 0x88, 0xb5)
	f = binary.BigEndian.AppendUint32(f, mark)
	if _, err := a.files[from].Write(append(f, make([]byte, 60)...)); err != nil {
		t.Fatal(err)
	}
}

// arrives says when a frame comes, within a time; what else comes meanwhile is
// passed over.
func (a taps) arrives(t *testing.T, at string, mark uint32, within time.Duration) (time.Time, bool) {
	t.Helper()
	buf := make([]byte, 2048)
	if err := a.files[at].SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := a.files[at].Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return time.Time{}, false
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 78 && binary.BigEndian.Uint32(buf[14:]) == mark && bytes.Equal(buf[12:14], []byte{0x88, 0xb5}) {
			return time.Now(), true
		}
	}
}

const patient, quiet = time.Minute, 300 * time.Millisecond

var everybody = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func TestSteering(t *testing.T) {
	ctx, s := newSwitch(t)
	a := newTaps(t, ctx, s, "a", "b", "c")
	apply := func(t *testing.T, r Rules) {
		t.Helper()
		if err := s.Apply(ctx, "x", r); err != nil {
			t.Fatal(err)
		}
	}
	mark := uint32(1000)
	reaches := func(t *testing.T, from, to string, dst net.HardwareAddr, want bool, late time.Duration) {
		t.Helper()
		mark++
		begin := time.Now()
		a.send(t, from, dst, mark)
		within := patient
		if !want {
			within = quiet
		}
		at, ok := a.arrives(t, to, mark, within)
		if ok != want || ok && at.Sub(begin) < late {
			t.Errorf("%s to %s (%s): %v after %v; want %v, no sooner than after %v", from, to, dst, ok, at.Sub(begin), want, late)
		}
	}
	const late = 100 * time.Millisecond

	t.Run("late one way, to one and to many", func(t *testing.T) {
		apply(t, Rules{Impaired: []Impairment{{"a", "b", link.Spec{Delay: late}}}})
		reaches(t, "a", "b", a.mac("b"), true, late)
		reaches(t, "a", "b", everybody, true, late)
		reaches(t, "b", "a", a.mac("a"), true, 0)
		mark++
		a.send(t, "a", everybody, mark)
		atC, ok := a.arrives(t, "c", mark, patient)
		atB, also := a.arrives(t, "b", mark, patient)
		if !ok || !also || !atC.Before(atB) {
			t.Errorf("to many: c at %v (%v), b at %v (%v)", atC, ok, atB, also)
		}
		reaches(t, "a", "c", a.mac("b"), false, 0)
		reaches(t, "c", "b", a.mac("a"), false, 0) // nothing from a was seen for long, and is flooded
	})
	t.Run("what is on its way arrives when the link is well again", func(t *testing.T) {
		apply(t, Rules{Impaired: []Impairment{{"a", "b", link.Spec{Delay: time.Second}}}})
		mark++
		a.send(t, "a", a.mac("b"), mark)
		held := mark
		apply(t, Rules{})
		reaches(t, "a", "b", a.mac("b"), true, 0)
		if _, ok := a.arrives(t, "b", held, patient); !ok {
			t.Error("it was lost")
		}
	})
	t.Run("cut off and late", func(t *testing.T) {
		apply(t, Rules{Cuts: []Cut{{"a", "c"}}, Impaired: []Impairment{{"", "b", link.Spec{Delay: late}}}})
		reaches(t, "a", "c", everybody, false, 0)
		reaches(t, "a", "c", a.mac("c"), false, 0)
		reaches(t, "a", "b", everybody, true, late)
		reaches(t, "c", "b", a.mac("b"), true, late)
		reaches(t, "c", "a", everybody, true, 0)
	})
	t.Run("a shaper that was killed is started again", func(t *testing.T) {
		if err := s.m.Signal(ctx, shaperJob("x"), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := s.m.Wait(ctx, shaperJob("x")); err != nil {
			t.Fatal(err)
		}
		apply(t, Rules{Impaired: []Impairment{{"a", "b", link.Spec{Delay: late}}}})
		reaches(t, "a", "b", a.mac("b"), true, late)
	})
	t.Run("refused, and nothing changed", func(t *testing.T) {
		if err := s.Apply(ctx, "x", Rules{Impaired: []Impairment{{"a", "b", link.Spec{Duplicate: 101}}}}); err == nil {
			t.Error("101 percent of frames are to come twice")
		}
		reaches(t, "a", "b", a.mac("b"), true, late)
	})
	t.Run("measured from outside the machines", func(t *testing.T) { measureFromOutside(t, ctx, a, apply) })
}

// measureFromOutside is how a link between two virtual machines is measured.
func measureFromOutside(t *testing.T, ctx context.Context, a taps, apply func(*testing.T, Rules)) {
	spec := link.Spec{Loss: 10}
	apply(t, Rules{Impaired: []Impairment{{"a", "b", spec}}})
	all, err := a.s.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Machine != "a" {
			continue
		}
		in, err := a.s.Inject(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		sock, err := probe.Open(a.s.m.NetNS(), a.ports["b"].Name(), true)
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		r, err := probe.Run(ctx, probe.PlanFor(spec), probe.Ends{From: a.mac("a"), To: a.mac("b"), Send: in.Send, Receive: sock})
		if err != nil || r.Sent != 1000 || r.Lost() < 90 || r.Lost() > 110 || r.Twice+r.Damaged > 0 {
			t.Errorf("10%% of 1000: got %+v, %v", r, err)
		}
	}
}
