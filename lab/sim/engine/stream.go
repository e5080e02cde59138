package engine

import (
	"math/rand/v2"
	"time"
)

// Stream is the random stream of one entity and one concern.
type Stream struct{ *rand.Rand }

// Stream makes the stream of a name, such as "node dhcp-1" or "link a b". The
// same seed and name give the same numbers.
func (e *Engine) Stream(name string) Stream {
	return Stream{rand.New(rand.NewPCG(e.seed, Hash(name)))}
}

// Between draws a duration from least to most, evenly.
func (s Stream) Between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(s.Int64N(int64(most-least)+1))
}

// Read fills b, so that a Stream can stand where production code wants
// crypto/rand.Reader. It never fails. What it gives is no secret.
func (s Stream) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		v := s.Uint64()
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(v)
			v >>= 8
		}
	}
	return len(b), nil
}
