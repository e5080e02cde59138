// Package link decides what becomes of each frame of a link that misbehaves:
// lost, late, twice, overtaken, damaged, or held back by a rate.
//
//	l := link.New(spec, seed1, seed2)
//	for _, d := range l.Send(len(frame), now) {
//		// d.At is when this copy arrives; d.Flip(frame) damages it, if it is damaged
//	}
//
// It promises: the same Spec and seeds make of the same frames the same
// deliveries; each kind of misbehaviour draws from a stream of its own, so that
// taking one away does not change when the others strike; of a thousand frames
// as many are struck as were asked for, give or take a few; Send allocates
// nothing. Both the shaper of a lab (lab/impair) and the simulator use it, so
// it sees no clock: time is what the caller counts, from any start.
//
// It is not a queue: the caller keeps copies until they are due.
package link

import (
	"math/rand/v2"
	"time"
)

// Kinds of misbehaviour, each with a stream of its own.
const (
	loss = iota
	duplicate
	corrupt
	reorder
	where // a bit is flipped
	jitter
	streams
)

// Burst is how many bytes a rate lets through at once; what comes faster is
// queued.
const Burst = 2 * fullFrame

// What would wait longer than the queue is lost: maxQueue at any rate, but no
// less than minFrames of fullFrame bytes, so that slow links pass anything at
// all.
const (
	fullFrame = 1514
	minFrames = 16
	maxQueue  = 200 * time.Millisecond
)

// Link is one direction between two machines. It is not safe for concurrent use.
type Link struct {
	spec   Spec
	draw   [streams]rand.PCG
	chance [where]chance
	free   time.Duration // when what was let through so far has been sent, at the rate
	queue  time.Duration // how long a frame waits at most
	burst  time.Duration // how long the burst takes at the rate
	copies [2]Delivery
}

// Delivery is a copy of a frame that arrives.
type Delivery struct {
	At      time.Duration
	Corrupt bool
	where   uint64
}

// New makes a link. The seeds are those of the pair of machines.
func New(spec Spec, seed1, seed2 uint64) *Link {
	l := &Link{spec: spec}
	for i := range l.draw {
		l.draw[i].Seed(seed1, seed2^uint64(i+1)<<56)
	}
	for kind, percent := range [where]float64{spec.Loss, spec.Duplicate, spec.Corrupt, spec.Reorder} {
		l.chance[kind] = chance{percent: percent, carry: l.uniform(kind)}
	}
	if spec.Rate > 0 {
		l.burst = l.takes(Burst)
		l.queue = max(maxQueue, l.takes(minFrames*fullFrame))
	}
	return l
}

// Spec the link was made of.
func (l *Link) Spec() Spec { return l.spec }

// Send decides about a frame of size bytes that is sent now. The copies, none
// to two, are good until the next Send; they are not in order of their time.
func (l *Link) Send(size int, now time.Duration) []Delivery {
	if l.strikes(loss) {
		return nil
	}
	copies, n := 1, 0
	if l.strikes(duplicate) {
		copies = 2
	}
	for range copies {
		at, ok := l.admit(size, now)
		if !ok {
			break
		}
		l.copies[n] = l.deliver(at)
		n++
	}
	return l.copies[:n]
}

// deliver decides about a copy that leaves at a time.
func (l *Link) deliver(leaves time.Duration) Delivery {
	d := Delivery{At: leaves + l.spec.Delay}
	if l.spec.Jitter > 0 {
		d.At += time.Duration(l.uniform(jitter) * float64(l.spec.Jitter))
	}
	if l.strikes(reorder) {
		d.At += l.spec.heldBack()
	}
	if l.strikes(corrupt) {
		d.Corrupt, d.where = true, l.draw[where].Uint64()
	}
	return d
}

// admit is a token bucket with a queue (the virtual scheduling algorithm of
// ITU-T I.371): when the frame leaves; ok is false when the queue is full.
func (l *Link) admit(size int, now time.Duration) (leaves time.Duration, ok bool) {
	if l.spec.Rate == 0 {
		return now, true
	}
	free := max(l.free, now)
	if free-now > l.queue+l.burst {
		return 0, false
	}
	l.free = free + l.takes(size)
	return max(now, l.free-l.burst), true
}

// takes is how long bytes take at the rate.
func (l *Link) takes(bytes int) time.Duration {
	return time.Duration(float64(bytes) * 8 * float64(time.Second) / float64(l.spec.Rate))
}

func (l *Link) strikes(kind int) bool {
	c := &l.chance[kind]
	return c.percent > 0 && c.strikes(l.uniform(kind))
}

// chance strikes so many frames of every round; what is drawn decides which
// (selection sampling: Knuth, The Art of Computer Programming, 3.4.2,
// algorithm S). Independent draws would strike 10 of a thousand frames where 10
// were asked for, give or take 3.
type chance struct {
	percent float64
	carry   float64 // what is left over from the rounds before, of a strike or of a frame
	left    int     // frames of this round
	due     int     // strikes of this round
}

// strikes decides about a frame by a draw from [0, 1).
func (c *chance) strikes(draw float64) bool {
	if c.left == 0 {
		c.begin()
	}
	hit := draw*float64(c.left) < float64(c.due)
	c.left--
	if hit {
		c.due--
	}
	return hit
}

// begin makes a round of a hundred frames, or of those that one strike is due
// in where that is rare.
func (c *chance) begin() {
	if c.percent < 5 {
		c.carry += min(100/c.percent, 1e12)
		c.left, c.due = int(c.carry), 1
		c.carry -= float64(c.left)
		return
	}
	c.carry += c.percent
	c.left, c.due = 100, int(c.carry)
	c.carry -= float64(c.due)
}

// uniform is even in [0, 1).
func (l *Link) uniform(kind int) float64 {
	return float64(l.draw[kind].Uint64()>>11) / (1 << 53)
}

// Flip damages a bit of data, if the copy is to be damaged. What must stay
// whole, such as addresses, the caller leaves out of data.
func (d Delivery) Flip(data []byte) {
	if d.Corrupt && len(data) > 0 {
		bit := d.where % uint64(len(data)*8)
		data[bit/8] ^= 1 << (bit % 8)
	}
}
