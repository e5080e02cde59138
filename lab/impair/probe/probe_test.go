package probe

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/impair/link"
)

const ms = time.Millisecond

func TestMarker(t *testing.T) {
	m := marker{from: net.HardwareAddr{2, 0, 0, 0, 0, 1}, to: net.HardwareAddr{2, 0, 0, 0, 0, 2}, size: minSize, run: 7}
	frame := make([]byte, minSize)
	m.write(frame, 77)
	if seq, damaged, ok := m.read(frame); seq != 77 || damaged || !ok {
		t.Fatalf("got %d %v %v", seq, damaged, ok)
	}
	for bit := header * 8; bit < minSize*8; bit++ {
		hit := slices.Clone(frame)
		hit[bit/8] ^= 1 << (bit % 8)
		if seq, damaged, ok := m.read(hit); seq != 77 || !damaged || !ok {
			t.Errorf("bit %d flipped: got %d %v %v", bit, seq, damaged, ok)
		}
		hit[minSize-1-bit/8%8] ^= 0x81 // and two more
		if _, _, ok := m.read(hit); ok {
			t.Errorf("bit %d and more flipped: taken for a marked frame", bit)
		}
	}
	other := m
	other.run = 8
	if _, _, ok := other.read(frame); ok {
		t.Error("a frame of another run was taken")
	}
	if _, _, ok := m.read(frame[:20]); ok {
		t.Error("a short frame was taken")
	}
}

func TestTally(t *testing.T) {
	y := newTally(Plan{Size: 1000, Skip: 1})
	for i := range 5 {
		y.send(time.Duration(i) * ms)
	}
	y.plan.Frames = 4
	for _, a := range []struct {
		seq     int
		at      time.Duration
		damaged bool
	}{{0, 10 * ms, false}, {2, 12 * ms, true}, {2, 12 * ms, false}, {1, 14 * ms, false}, {4, 18 * ms, false}, {9, 18 * ms, false}} {
		y.receive(a.seq, a.at, a.damaged)
	}
	want := Result{Sent: 5, Arrived: 4, Twice: 1, Damaged: 1, Overtaken: 1, Delay: 13 * ms, Least: 10 * ms, Most: 14 * ms, Rate: 4_000_000}
	if got := y.result(); got != want || got.Lost() != 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !y.whole() {
		t.Error("4 frames have arrived, and more are waited for")
	}
	if y.plan.Twice = true; y.whole() {
		t.Error("copies are not waited for")
	}
	if got := newTally(Plan{Size: 1000}).result(); got != (Result{}) {
		t.Errorf("of nothing: got %+v", got)
	}
	if Percent(1, 4) != 25 || Percent(0, 0) != 0 {
		t.Error("Percent is wrong")
	}
}

func TestPlans(t *testing.T) {
	tests := []struct {
		spec link.Spec
		want Plan
	}{
		{link.Spec{}, Plan{10, minSize, gap, slack, 0, false}},
		{link.Spec{Loss: 100}, Plan{100, minSize, gap, slack, 0, false}},
		{link.Spec{Loss: 1}, Plan{1000, minSize, gap, slack, 0, false}},
		{link.Spec{Delay: 10 * ms, Jitter: 5 * ms}, Plan{1000, minSize, gap, slack + 15*ms, 0, false}},
		{link.Spec{Duplicate: 1}, Plan{1000, minSize, gap, slack, 0, true}},
		{link.Spec{Reorder: 1}, Plan{1000, minSize, gap, slack + 10*ms, 0, false}},
		{link.Spec{Rate: 8e6}, Plan{1000, minSize, gap, slack, 0, false}},
		{link.Spec{Rate: 96e3, Loss: 1}, Plan{100, minSize, 10 * ms, slack, 0, false}},
		{link.Spec{Rate: 1, Loss: 1}, Plan{2, minSize, 960 * time.Second, slack, 0, false}},
	}
	for _, tt := range tests {
		if got := PlanFor(tt.spec); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.spec, got, tt.want)
		}
	}
	for _, rate := range []int64{64e3, 1e6, 8e6, 1e8, 1e9} {
		p := RatePlan(link.Spec{Rate: rate})
		sent := float64(p.Size*8) / p.Gap.Seconds()
		if sent < 1.9*float64(rate) || p.Frames <= 2*p.Skip || (p.Skip-1)*p.Size < link.Burst || time.Duration(p.Frames)*p.Gap > 2*time.Second {
			t.Errorf("%d: %+v sends %.0f bit/s", rate, p, sent)
		}
	}
}
