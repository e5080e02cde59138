package link

import (
	"fmt"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/fault"
)

// DefaultReorderBy is how far a frame is held back where a fault does not say.
const DefaultReorderBy = 10 * time.Millisecond

// Spec says how a link misbehaves, one way. The zero Spec is a good link.
type Spec struct {
	Loss      float64 `json:"loss,omitempty"`      // percent of frames, 0 to 100, as the next three
	Duplicate float64 `json:"duplicate,omitempty"` // arrive twice
	Corrupt   float64 `json:"corrupt,omitempty"`   // arrive with a bit flipped
	Reorder   float64 `json:"reorder,omitempty"`   // are held back by ReorderBy, and so overtaken

	Delay     time.Duration `json:"delay_ns,omitempty"`      // of every frame
	Jitter    time.Duration `json:"jitter_ns,omitempty"`     // added to Delay, evenly from 0; frames may overtake each other
	ReorderBy time.Duration `json:"reorder_by_ns,omitempty"` // 0: DefaultReorderBy

	Rate int64 `json:"rate,omitempty"` // bits per second, headers counted; 0: no limit
}

// FromFault is what a fault of class Link does to each of its directions. A
// partition is a loss of everything.
func FromFault(f fault.Fault) (Spec, error) {
	var s Spec
	switch f.Kind {
	case fault.Partition:
		s.Loss = 100
	case fault.Loss:
		s.Loss = f.Percent
	case fault.Delay:
		s.Delay, s.Jitter = time.Duration(f.Delay), time.Duration(f.Jitter)
	case fault.Duplicate:
		s.Duplicate = f.Percent
	case fault.Reorder:
		s.Reorder, s.ReorderBy = f.Percent, time.Duration(f.Delay)
		if s.ReorderBy == 0 {
			s.ReorderBy = DefaultReorderBy
		}
	case fault.Corrupt:
		s.Corrupt = f.Percent
	case fault.Throttle:
		s.Rate = int64(f.Rate)
	default:
		return s, fmt.Errorf("fault %s: does not happen to a link", f.Kind)
	}
	return s, s.Check()
}

// Check says what is wrong with a Spec, or nil.
func (s Spec) Check() error {
	for _, p := range []struct {
		name    string
		percent float64
	}{{"loss", s.Loss}, {"duplicate", s.Duplicate}, {"corrupt", s.Corrupt}, {"reorder", s.Reorder}} {
		if !(p.percent >= 0 && p.percent <= 100) {
			return fmt.Errorf("link: %s %g: want 0 to 100 percent", p.name, p.percent)
		}
	}
	switch {
	case s.Delay < 0 || s.Jitter < 0 || s.ReorderBy < 0:
		return fmt.Errorf("link: %s: a time below zero: want one above it", s)
	case s.Rate < 0:
		return fmt.Errorf("link: rate %d: want one above zero", s.Rate)
	}
	return nil
}

// Zero says whether a link of this Spec is a good one.
func (s Spec) Zero() bool {
	s.ReorderBy = 0 // is nothing by itself
	return s == Spec{}
}

// Dead says whether nothing gets through.
func (s Spec) Dead() bool { return s.Loss >= 100 }

// Add is what two independent causes do to a frame that meets both: chances
// combine, times add up, the lower rate counts.
func (s Spec) Add(o Spec) Spec {
	sum := Spec{
		Loss:      either(s.Loss, o.Loss),
		Duplicate: either(s.Duplicate, o.Duplicate),
		Corrupt:   either(s.Corrupt, o.Corrupt),
		Reorder:   either(s.Reorder, o.Reorder),
		Delay:     s.Delay + o.Delay,
		Jitter:    s.Jitter + o.Jitter,
		ReorderBy: max(s.ReorderBy, o.ReorderBy),
		Rate:      min(s.Rate, o.Rate),
	}
	if s.Rate == 0 || o.Rate == 0 {
		sum.Rate = max(s.Rate, o.Rate)
	}
	return sum
}

// either is the chance, in percent, of one or both of two independent events.
func either(a, b float64) float64 {
	if a == 0 || b == 0 { // exact: what is asked for is what is reported
		return a + b
	}
	return a + b - a*b/100
}

// String lists what is wrong with the link, in the words of the faults.
func (s Spec) String() string {
	var words []string
	for _, p := range []struct {
		name    string
		percent float64
	}{{fault.Loss, s.Loss}, {fault.Duplicate, s.Duplicate}, {fault.Corrupt, s.Corrupt}} {
		if p.percent != 0 {
			words = append(words, fmt.Sprintf("%s %g%%", p.name, p.percent))
		}
	}
	if s.Reorder != 0 {
		words = append(words, fmt.Sprintf("%s %g%% by %s", fault.Reorder, s.Reorder, s.heldBack()))
	}
	if s.Delay != 0 || s.Jitter != 0 {
		words = append(words, fmt.Sprintf("%s %s..%s", fault.Delay, s.Delay, s.Delay+s.Jitter))
	}
	if s.Rate != 0 {
		words = append(words, fmt.Sprintf("%s %s", fault.Throttle, fault.Rate(s.Rate)))
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

func (s Spec) heldBack() time.Duration {
	if s.ReorderBy == 0 {
		return DefaultReorderBy
	}
	return s.ReorderBy
}
