package process

import (
	"math/rand/v2"
	"time"
)

// Backoff is the rule for pauses between attempts: it doubles from Min to
// Max, and begins anew after a run that lasted longer than Max. It has no
// clock: the caller tells how long the attempt ran.
type Backoff struct {
	Min, Max time.Duration
	Rand     *rand.Rand // jitter, seeded by the caller; nil: none

	last time.Duration
}

// Next returns the pause after an attempt that ran for a time. With Rand it is
// between half and all of the rule's value.
func (b *Backoff) Next(ran time.Duration) time.Duration {
	switch {
	case b.last == 0 || ran > b.Max:
		b.last = b.Min
	default:
		b.last = min(2*b.last, b.Max)
	}
	if b.Rand == nil {
		return b.last
	}
	return b.last/2 + time.Duration(b.Rand.Int64N(int64(b.last/2)+1))
}
