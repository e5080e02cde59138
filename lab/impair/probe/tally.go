package probe

import (
	"slices"
	"sync"
	"time"
)

// Result is what became of frames.
type Result struct {
	Sent    int
	Arrived int // at least once
	Twice   int // copies beyond the first
	Damaged int // copies with a bit flipped
	// Overtaken are those that came after one that was sent later.
	Overtaken int
	// Delay of those that arrived, first copies: the median, the least, the most.
	Delay, Least, Most time.Duration
	Rate               int64 // bits per second, headers counted; 0 when too few came
}

// Lost is how many never arrived.
func (r Result) Lost() int { return r.Sent - r.Arrived }

// Percent is a part of a whole.
func Percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) * 100 / float64(whole)
}

// tally counts. One goroutine sends and one receives.
type tally struct {
	plan Plan

	mu       sync.Mutex
	sent     []time.Duration
	first    map[int]time.Duration // when a frame first arrived
	arrivals []time.Duration
	latest   int // the highest number that arrived
	count    Result
}

func newTally(p Plan) *tally { return &tally{plan: p, first: map[int]time.Duration{}, latest: -1} }

func (t *tally) send(at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = append(t.sent, at)
}

func (t *tally) receive(seq int, at time.Duration, damaged bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq >= len(t.sent) {
		return // nobody's
	}
	r := &t.count
	t.arrivals = append(t.arrivals, at)
	if damaged {
		r.Damaged++
	}
	if _, again := t.first[seq]; again {
		r.Twice++
		return
	}
	t.first[seq] = at
	if seq < t.latest {
		r.Overtaken++
	}
	t.latest = max(t.latest, seq)
}

// whole says that nothing more is to come.
func (t *tally) whole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.first) == t.plan.Frames && !t.plan.Twice
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.count
	r.Sent, r.Arrived = len(t.sent), len(t.first)
	var delays []time.Duration
	for seq, at := range t.first {
		delays = append(delays, at-t.sent[seq])
	}
	if slices.Sort(delays); len(delays) > 0 {
		r.Least, r.Delay, r.Most = delays[0], delays[len(delays)/2], delays[len(delays)-1]
	}
	if n := len(t.arrivals) - t.plan.Skip; n > 1 {
		first, last := t.arrivals[t.plan.Skip], t.arrivals[len(t.arrivals)-1]
		if last > first {
			r.Rate = int64(float64((n-1)*t.plan.Size*8) / (last - first).Seconds())
		}
	}
	return r
}
