// Package keep keeps a program running: what PID 1 does for g8os_core itself.
//
// It promises that the program is started again whatever it does, at once the
// first time and then after pauses that grow to Max; and that its output, which
// is its log, stays within bounds and outlives it. It does not judge: a program
// that ends by itself is started again too.
package keep

import "time"

// Pauses between runs. One that ran for Steady begins the row anew.
const (
	First  = 200 * time.Millisecond // before the second restart; the first is at once
	Max    = 5 * time.Second
	Steady = 20 * time.Second
)

// Rule is the state of the decision when to start again; the zero value has
// seen no run.
type Rule struct {
	Restarts int           // in a row
	Pause    time.Duration // before the next start
}

// Ended returns the rule after a run of some length. Its Pause is how long to
// wait now.
func (r Rule) Ended(ran time.Duration) Rule {
	switch {
	case ran >= Steady || r.Restarts == 0:
		return Rule{Restarts: 1}
	case r.Pause == 0:
		return Rule{r.Restarts + 1, First}
	}
	return Rule{r.Restarts + 1, min(2*r.Pause, Max)}
}
