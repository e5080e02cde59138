package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Bounds of what refusals may cost: a burst of entries, then a rate; and how
// many different ones are told apart at a time.
const (
	burst      = 100
	perSecond  = 2
	maxTracked = 1000
)

// Coalescer thins out refusals: the first of its kind is an entry at once,
// equal ones within Window are one more entry, with their number. What exceeds
// the rate, or the number of kinds, is summed up as one. It is pure; callers
// serialise its use.
type Coalescer struct {
	kinds  map[kind]*count
	over   count
	tokens float64
	at     time.Time
}

type kind struct {
	source, action, reason string
	node                   api.NodeID
}

type count struct {
	last  api.AuditEntry
	since time.Time
	n     int // not yet told
}

// NewCoalescer makes a Coalescer that has seen nothing.
func NewCoalescer() *Coalescer { return &Coalescer{kinds: map[kind]*count{}, tokens: burst} }

// Add takes a refusal from a source, and says whether it is to be written now.
func (c *Coalescer) Add(source string, e api.AuditEntry, now time.Time) bool {
	k := kind{source: source, action: e.Action, reason: e.Reason, node: e.Node}
	if held, ok := c.kinds[k]; ok {
		held.last, held.n = e, held.n+1
		return false
	}
	if len(c.kinds) >= maxTracked || !c.take(now) {
		if c.over.n == 0 {
			c.over.since = now
		}
		c.over.last, c.over.n = e, c.over.n+1
		return false
	}
	c.kinds[k] = &count{since: now}
	return true
}

func (c *Coalescer) take(now time.Time) bool {
	if passed := now.Sub(c.at).Seconds(); passed > 0 {
		c.tokens = min(burst, c.tokens+passed*perSecond)
	}
	c.at = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

// Due returns the sums of what was counted for Window, ordered by source and
// reason, and forgets it; all says not to wait for Window.
func (c *Coalescer) Due(now time.Time, all bool) []api.AuditEntry {
	var due []api.AuditEntry
	for k, held := range c.kinds {
		if !all && !over(held.since, now) {
			continue
		}
		if held.n > 0 {
			due = append(due, sum(*held, now, "more of the same"))
		}
		delete(c.kinds, k)
	}
	slices.SortFunc(due, func(a, b api.AuditEntry) int { return slices.Compare(key(a), key(b)) })
	if c.over.n > 0 && (all || over(c.over.since, now)) {
		e := sum(c.over, now, "refusals of many kinds; this is the last one")
		due, c.over = append(due, e), count{}
	}
	return due
}

// over says whether Window is. A beginning that is yet to come was noted by a
// clock that was ahead: nothing is kept back until it has caught up.
func over(since, now time.Time) bool { return now.Before(since) || now.Sub(since) >= Window }

func key(e api.AuditEntry) []string {
	return []string{e.Actor, e.Action, e.Reason, string(e.Node)}
}

func sum(h count, now time.Time, what string) api.AuditEntry {
	e := h.last
	e.Detail = fmt.Sprintf("%d %s since %s", h.n, what, h.since.UTC().Format(time.RFC3339))
	e.Time = now
	return e
}
