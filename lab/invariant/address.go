package invariant

import (
	"fmt"
	"math"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// contested finds addresses that nodes took from somebody, and those that they
// keep although somebody insists on them and is heard.
func (c *Checker) contested(f grid.Facts) []Violation {
	var out []Violation
	deaf := c.deaf() || f.At-c.unheard < settle
	for _, t := range f.Takings {
		if !deaf {
			text := fmt.Sprintf("%s took %s of segment %s while %s had it", t.Node, t.Address, t.Segment, t.From)
			out = append(out, Violation{t.At, FreeAddress, text})
		}
	}
	now := map[grid.Dispute]time.Duration{}
	for _, d := range f.Disputes {
		since, seen := c.disputes[d]
		switch {
		case deaf:
			since = never // who has not heard of it when it began, may not hear of it later
		case !seen:
			since = f.At
		}
		now[d] = since
		if since != never && f.At-since > settle {
			text := fmt.Sprintf("%s keeps %s of segment %s, which %s has, for more than %s", d.Node, d.Address, d.Segment, d.With, settle)
			out = append(out, Violation{f.At, FreeAddress, text})
		}
	}
	c.disputes = now
	return out
}

// deaf says whether a fault is in force for which a node, or who has its
// address, may not hear the other. A squatter is none: he is heard.
func (c *Checker) deaf() bool {
	for _, f := range c.active {
		if deafens(f) {
			return true
		}
	}
	return false
}

func deafens(f fault.Fault) bool { return hides(f) && f.Kind != fault.Squatter }
