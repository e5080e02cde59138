package bootlog

import "time"

// A boot says some thousand lines at once; then little. Who says more for long
// is cut short, but errors have a measure of their own, for a flood must not
// drown the line that explains it.
const (
	burst   = 4096 // lines
	perLine = 100 * time.Millisecond
)

// limits has no clock: it is given the uptime.
type limits struct{ grave, other bucket }

func newLimits() limits { return limits{bucket{left: burst}, bucket{left: burst}} }

type bucket struct {
	left   int
	at     time.Duration // up to here lines were added
	missed int
}

// allow tells whether a line may be kept, and how many were not before it.
func (l *limits) allow(up time.Duration, level Level) (ok bool, missed int) {
	b := &l.other
	if level <= Error {
		b = &l.grave
	}
	if n := (up - b.at) / perLine; n > 0 {
		b.left, b.at = min(burst, b.left+int(min(n, burst))), b.at+n*perLine
	}
	if b.left == 0 {
		b.missed++
		return false, 0
	}
	b.left--
	missed, b.missed = b.missed, 0
	return true, missed
}
