package link

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/fault"
)

const ms = time.Millisecond

// sent is what became of n frames of 1000 bytes, one every gap.
type sent struct {
	lost, twice, damaged, overtaken int
	delays                          []time.Duration
	last                            time.Duration // arrival
}

func send(s Spec, n int, gap time.Duration) sent {
	l := New(s, 1, 2)
	var r sent
	for i := range n {
		now := time.Duration(i) * gap
		copies := l.Send(1000, now)
		switch len(copies) {
		case 0:
			r.lost++
		case 2:
			r.twice++
		}
		for _, c := range copies {
			if c.Corrupt {
				r.damaged++
			}
			if c.At < r.last {
				r.overtaken++
			}
			r.last = max(r.last, c.At)
			r.delays = append(r.delays, c.At-now)
		}
	}
	return r
}

func (r sent) mean() time.Duration {
	var sum time.Duration
	for _, d := range r.delays {
		sum += d
	}
	return sum / time.Duration(len(r.delays))
}

func TestStatistics(t *testing.T) {
	const n = 100_000
	near := func(t *testing.T, what string, got int, percent float64) {
		t.Helper()
		want := percent / 100 * n
		if math.Abs(float64(got)-want) > 1+want/1000 {
			t.Errorf("%s: %d of %d, want %.0f", what, got, n, want)
		}
	}
	for _, percent := range []float64{0, 0.1, 1, 10, 50, 99, 100} {
		near(t, "lost", send(Spec{Loss: percent}, n, ms).lost, percent)
		near(t, "twice", send(Spec{Duplicate: percent}, n, ms).twice, percent)
		near(t, "damaged", send(Spec{Corrupt: percent}, n, ms).damaged, percent)
	}
	r := send(Spec{Delay: 10 * ms, Jitter: 4 * ms}, n, ms)
	if low, high := slices.Min(r.delays), slices.Max(r.delays); low < 10*ms || high >= 14*ms || (r.mean()-12*ms).Abs() > ms/50 {
		t.Errorf("delay 10..14 ms: from %v to %v, mean %v", low, high, r.mean())
	}
	// A gap as long as frames are held back: none waits for more than one other.
	if got := send(Spec{Reorder: 1}, n, DefaultReorderBy-1).overtaken; got < n/100-20 || got > n/100 {
		t.Errorf("overtaken: %d of %d, want about 1%%", got, n)
	}
}

// TestThousand: what the lab promises to whoever asks for a loss, wherever his
// thousand frames begin.
func TestThousand(t *testing.T) {
	for _, percent := range []float64{1, 1.5, 2.5, 3, 4.9, 5, 7, 7.5, 10, 12.34, 20, 33, 50, 90} {
		l := New(Spec{Loss: percent}, 3, 4)
		lost := make([]int, 0, 20_000)
		for i := range cap(lost) {
			lost = append(lost, 1-len(l.Send(100, time.Duration(i))))
		}
		sum := 0
		for i, n := range lost {
			sum += n
			if i >= 1000 {
				sum -= lost[i-1000]
			}
			if off := math.Abs(float64(sum)/10 - percent); i >= 999 && off > percent/10+1e-9 {
				t.Errorf("%g%%: %d of the 1000 frames up to %d are lost", percent, sum, i)
				break
			}
		}
	}
}

// TestRuns: losses do come one after the other.
func TestRuns(t *testing.T) {
	l := New(Spec{Loss: 30}, 1, 2)
	run, longest := 0, 0
	for range 10_000 {
		if run++; len(l.Send(100, 0)) > 0 {
			run = 0
		}
		longest = max(longest, run)
	}
	if longest < 5 {
		t.Errorf("no more than %d frames in a row are lost of 10000 at 30%%", longest)
	}
}

func TestRate(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		n    int
		gap  time.Duration
		lost int
		last time.Duration
	}{
		{"within the rate", Spec{Rate: 8_000_000}, 100, ms, 0, 99 * ms},
		{"within the burst", Spec{Rate: 8_000_000}, 3, 0, 0, 0},
		{"queued", Spec{Rate: 8_000_000}, 100, 0, 0, 100*ms - 3028*time.Microsecond},
		{"queue full", Spec{Rate: 8_000_000}, 1000, 0, 1000 - 204, 204*ms - 3028*time.Microsecond},
		{"copies count", Spec{Rate: 8_000_000, Duplicate: 100}, 50, 0, 0, 100*ms - 3028*time.Microsecond},
		{"a slow link passes frames", Spec{Rate: 8_000}, 10, 0, 0, 10*time.Second - 3028*ms},
		{"with delay", Spec{Rate: 8_000_000, Delay: 5 * ms}, 100, 0, 0, 105*ms - 3028*time.Microsecond},
	}
	for _, tt := range tests {
		r := send(tt.spec, tt.n, tt.gap)
		if r.lost != tt.lost || r.last != tt.last {
			t.Errorf("%s: %d lost and the last after %v, want %d and %v", tt.name, r.lost, r.last, tt.lost, tt.last)
		}
	}
}

// TestStreams: taking one kind away does not change when the others strike.
func TestStreams(t *testing.T) {
	all := Spec{Loss: 20, Duplicate: 20, Corrupt: 20, Reorder: 20, Jitter: 5 * ms}
	less := all
	less.Corrupt, less.Reorder, less.Jitter = 0, 0, 0
	a, b, same := New(all, 7, 8), New(less, 7, 8), New(all, 7, 8)
	other, differs := New(all, 7, 9), false
	for i := range 10_000 {
		got := slices.Clone(a.Send(100, 0))
		if n := len(b.Send(100, 0)); n != len(got) {
			t.Fatalf("frame %d: %d copies with the other kinds and %d without", i, len(got), n)
		}
		if again := same.Send(100, 0); !slices.Equal(again, got) {
			t.Fatalf("frame %d: %v and %v of the same seeds", i, got, again)
		}
		differs = differs || !slices.Equal(other.Send(100, 0), got)
	}
	if !differs {
		t.Error("another seed made no difference")
	}
}

func TestFlip(t *testing.T) {
	l := New(Spec{Corrupt: 100}, 1, 2)
	hit := map[int]bool{}
	for range 1000 {
		data := make([]byte, 4)
		l.Send(4, 0)[0].Flip(data)
		bits := 0
		for i, b := range data {
			for k := range 8 {
				if b>>k&1 == 1 {
					bits++
					hit[i*8+k] = true
				}
			}
		}
		if bits != 1 {
			t.Fatalf("%d bits flipped in %x, want 1", bits, data)
		}
	}
	if len(hit) != 32 {
		t.Errorf("%d of 32 bits were ever hit", len(hit))
	}
	l.Send(4, 0)[0].Flip(nil)
}

func TestNothingIsAllocated(t *testing.T) {
	l := New(Spec{Loss: 10, Duplicate: 10, Corrupt: 10, Reorder: 10, Delay: ms, Jitter: ms, Rate: 1e9}, 1, 2)
	var now time.Duration
	if n := testing.AllocsPerRun(1000, func() { now += ms; l.Send(100, now) }); n != 0 {
		t.Errorf("%g allocations a frame", n)
	}
}

func TestAdd(t *testing.T) {
	a := Spec{Loss: 10, Delay: 5 * ms, Rate: 1000, ReorderBy: ms}
	b := Spec{Loss: 50, Duplicate: 3, Delay: ms, Jitter: 2 * ms, ReorderBy: 2 * ms}
	want := Spec{Loss: 55, Duplicate: 3, Delay: 6 * ms, Jitter: 2 * ms, Rate: 1000, ReorderBy: 2 * ms}
	if got := a.Add(b); got != want || b.Add(a) != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := a.Add(Spec{Rate: 10}); got.Rate != 10 {
		t.Errorf("rate %d, want the lower", got.Rate)
	}
	if got := (Spec{}).Add(a); got != a {
		t.Errorf("nothing and %+v is %+v", a, got)
	}
	if !(Spec{ReorderBy: ms}).Zero() || a.Zero() || (Spec{Loss: 99.9}).Dead() || !(Spec{Loss: 60}).Add(Spec{Loss: 100}).Dead() {
		t.Error("Zero or Dead is wrong")
	}
}

func TestFromFault(t *testing.T) {
	tests := []struct {
		text string
		want Spec
		says string
	}{
		{"partition from=a", Spec{Loss: 100}, "loss 100%"},
		{"loss percent=2.5", Spec{Loss: 2.5}, "loss 2.5%"},
		{"delay delay=10ms jitter=3ms", Spec{Delay: 10 * ms, Jitter: 3 * ms}, "delay 10ms..13ms"},
		{"duplicate percent=1", Spec{Duplicate: 1}, "duplicate 1%"},
		{"reorder percent=1", Spec{Reorder: 1, ReorderBy: 10 * ms}, "reorder 1% by 10ms"},
		{"reorder percent=1 delay=3ms", Spec{Reorder: 1, ReorderBy: 3 * ms}, "reorder 1% by 3ms"},
		{"corrupt percent=1", Spec{Corrupt: 1}, "corrupt 1%"},
		{"rate rate=8mbit", Spec{Rate: 8e6}, "rate 8mbit"},
	}
	for _, tt := range tests {
		f, err := fault.Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := FromFault(f); err != nil || got != tt.want || got.String() != tt.says {
			t.Errorf("%s: got %+v (%s), %v", tt.text, got, got, err)
		}
	}
	for _, bad := range []string{"cable on=a", "loss percent=101", "loss percent=-1", "delay delay=-1s"} {
		f, err := fault.Parse(bad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := FromFault(f); err == nil {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
	for _, bad := range []Spec{{Loss: math.NaN()}, {Rate: -1}, {Jitter: -1}} {
		if bad.Check() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	l := New(Spec{Loss: 1, Duplicate: 1, Corrupt: 1, Reorder: 1, Delay: ms, Jitter: ms}, 1, 2)
	for i := range b.N {
		l.Send(1000, time.Duration(i)*ms)
	}
}
