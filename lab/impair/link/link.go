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
// taking one away does not change when the others strike; Send allocates
// nothing. Both the shaper of a lab (lab/impair) and the simulator use it, so
// it sees no clock: time is what the caller counts, from any start.
//
// It is not a queue: the caller keeps copies until they are due.
package link

import (
	"math/rand/v2"
	"time"
)

// Kinds of misbehaviour, as indices of the streams.
const (
	loss = iota
	duplicate
	corrupt
	reorder
	jitter
	streams
)

// A rate lets a burst through at once and queues what comes faster. What would
// wait longer than the queue is lost: maxQueue at any rate, but no less than
// minFrames of fullFrame bytes, so that slow links pass anything at all.
const (
	fullFrame = 1514
	burst     = 2 * fullFrame
	minFrames = 16
	maxQueue  = 200 * time.Millisecond
)

// Link is one direction between two machines. It is not safe for concurrent use.
type Link struct {
	spec   Spec
	draw   [streams]rand.PCG
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
	if spec.Rate > 0 {
		l.burst = l.takes(burst)
		l.queue = max(maxQueue, l.takes(minFrames*fullFrame))
	}
	return l
}

// Spec the link was made of.
func (l *Link) Spec() Spec { return l.spec }

// Send decides about a frame of size bytes that is sent now. The copies, none
// to two, are good until the next Send; they are not in order of their time.
func (l *Link) Send(size int, now time.Duration) []Delivery {
	if l.strikes(loss, l.spec.Loss) {
		return nil
	}
	copies, n := 1, 0
	if l.strikes(duplicate, l.spec.Duplicate) {
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
	if l.strikes(reorder, l.spec.Reorder) {
		d.At += l.spec.heldBack()
	}
	if l.strikes(corrupt, l.spec.Corrupt) {
		d.Corrupt, d.where = true, l.draw[corrupt].Uint64()
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

func (l *Link) strikes(kind int, percent float64) bool {
	return percent > 0 && l.uniform(kind)*100 < percent
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
