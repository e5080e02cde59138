package screen

import (
	"slices"
	"strings"
	"time"
)

// How calm a serial line is.
const (
	minGap   = 2 * time.Second // between two blocks
	maxGap   = time.Minute     // the same, while things go to and fro
	settle   = 300 * time.Millisecond
	repeated = 10 * time.Minute // a line said within this time is not said again
	memory   = 32               // lines remembered
)

// Calm decides what is written on a serial line, where nothing can be taken
// back: a block when something a person cares for has changed, a line when the
// node waits for something else. The zero Calm has written nothing yet.
//
// A node that climbs writes a block a phase, at most one every 2 s; one that
// tries in vain writes ever less, down to a block a minute; one that stands
// still writes nothing.
type Calm struct {
	shown   string        // the block that was written last, without what moves
	phase   string        // in it
	at      time.Duration // uptime then
	gap     time.Duration
	pending time.Duration // since when there is something new; 0: nothing
	said    []saying
}

type saying struct {
	text string
	at   time.Duration
}

// Step looks at the view at an uptime and returns what to write, lines with
// their ends, and when to look again though nothing changes; 0: no need.
func (c *Calm) Step(up time.Duration, v View, width int) (text string, again time.Duration) {
	now := still(v, width)
	if now == c.shown {
		c.pending = 0
		return c.line(up, v, width), 0
	}
	if c.pending == 0 {
		c.pending = max(up, 1)
	}
	if due := c.due(v); up < due {
		return c.line(up, v, width), due - up
	}
	c.note(up, v, now)
	return block(v, width), 0
}

// due is when the new block may be written. A new phase is worth more than a
// new address; being managed is worth most.
func (c *Calm) due(v View) time.Duration {
	if c.shown == "" {
		if v.Status == nil {
			return c.pending + patience // g8os_core is about to say more
		}
		return c.pending + settle
	}
	gap := max(c.gap, minGap)
	if p := phaseOf(v); p == lastPhase && c.phase != p {
		gap = minGap
	}
	return max(c.at+gap, c.pending+settle)
}

func (c *Calm) note(up time.Duration, v View, now string) {
	gap := max(c.gap, minGap)
	if c.shown != "" && up-c.at < 2*gap+settle {
		c.gap = min(2*gap, maxGap)
	} else {
		c.gap = minGap
	}
	c.shown, c.phase, c.at, c.pending = now, phaseOf(v), up, 0
	c.fresh(up, waits(v)) // the block says it
}

// line says what the node waits for, once in a while.
func (c *Calm) line(up time.Duration, v View, width int) string {
	text := waits(v)
	if text == "" || c.shown == "" || !c.fresh(up, text) {
		return ""
	}
	return clip("G8OS "+rounded(up)+" "+text, width) + "\n"
}

// fresh notes a text, and tells whether it was not said for long.
func (c *Calm) fresh(up time.Duration, text string) bool {
	c.said = slices.DeleteFunc(c.said, func(s saying) bool { return up-s.at > repeated })
	if slices.ContainsFunc(c.said, func(s saying) bool { return s.text == text }) || len(c.said) >= memory {
		return false
	}
	c.said = append(c.said, saying{text, up})
	return true
}

func waits(v View) string {
	if v.Status == nil || v.Status.WaitsFor == "" {
		return ""
	}
	return v.Status.Phase + ": waits for " + v.Status.WaitsFor
}

func phaseOf(v View) string {
	if v.Status == nil {
		return ""
	}
	return v.Status.Phase
}

// still is the view without what moves by itself.
func still(v View, width int) string {
	v.Uptime = 0
	asks := v.Waiting >= patience
	v.Waiting = 0
	if v.Status != nil {
		s := *v.Status
		if asks && s.Phase == "unlock" {
			v.Waiting = patience // the fingerprint has become prominent
		}
		s.WaitsFor, s.LastError = "", refusal(s.LastError)
		v.Status = &s
	}
	return join(Lines(v, width, 0))
}

// refusal keeps the one error that changes what is asked of a person.
func refusal(text string) string {
	if strings.Contains(text, "refused") {
		return "refused"
	}
	return ""
}

// block is the view with a rule around it, so that it is seen among the
// kernel's lines.
func block(v View, width int) string {
	rule := strings.Repeat("-", min(width, 72))
	return "\n" + rule + "\n" + join(Lines(v, width, 0)) + rule + "\n"
}

func join(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}
