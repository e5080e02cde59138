package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/g8os/g8os/internal/table"
	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/topology"
)

// progress shows a run while it goes on: what happens, a line each, and on a
// terminal a line below them that says how things stand.
type progress struct {
	w     io.Writer
	live  bool
	quiet bool          // a simulated run goes by too fast to be followed
	began time.Duration // grid time at which the run did
	said  time.Duration // grid time of the last line about how things stand
	drawn bool
}

// standing is how often a line says how things stand where nothing can be
// drawn over.
const standing = 30 * time.Second

func newProgress(w io.Writer, fidelity string) *progress {
	return &progress{w: w, live: terminal(w), quiet: fidelity == topology.Simulated}
}

func (p *progress) tell(n runs.Note) {
	switch {
	case n.Progress != nil:
		p.stand(*n.Progress)
	case p.quiet: // what matters is said at its end
	case n.Violation != nil:
		p.line(n.Violation.At, "VIOLATED %s: %s", n.Violation.Invariant, n.Violation.Text)
	case n.Fault != nil && n.Fault.Healed == 0:
		p.line(n.Fault.InForce, "%s %s: %s", n.Fault.ID, n.Fault.Fault, n.Fault.Measured.How)
	case n.Fault != nil:
		p.line(n.Fault.Healed, "%s healed", n.Fault.ID)
	case n.Event != nil && n.Event.Who == "run" && n.Event.What != "fault" && n.Event.What != "heal": // those were said
		p.line(n.Event.At, "%s", n.Event.Text)
	}
}

// stand says how things stand.
func (p *progress) stand(s runs.Progress) {
	p.began = s.Began
	faults := "no fault"
	if len(s.Faults) > 0 {
		faults = strings.Join(s.Faults, " ") + " in force"
	}
	line := fmt.Sprintf("%d of %d nodes managed, %s, %s, %s", s.Managed, s.Powered, faults, count(s.Checks, "check"), count(s.Violated, "violation"))
	switch {
	case p.live:
		p.draw(p.stamp(s.At) + line)
	case !p.quiet && s.At-p.said >= standing:
		p.said = s.At
		p.line(s.At, "%s", line)
	}
}

// stamp is a time since the run began; before it did there is none.
func (p *progress) stamp(at time.Duration) string {
	if p.began == 0 && !p.quiet {
		return "        "
	}
	return fmt.Sprintf("%6.1fs ", (at - p.began).Seconds())
}

func (p *progress) line(at time.Duration, format string, args ...any) {
	p.clear()
	fmt.Fprintln(p.w, p.stamp(at)+fmt.Sprintf(format, args...))
}

// draw replaces the line below. It is cut to the terminal: one that wraps could
// not be drawn over.
func (p *progress) draw(line string) {
	width, _ := table.Size(p.w)
	if r := []rune(line); len(r) >= width {
		line = string(r[:width-1])
	}
	fmt.Fprint(p.w, "\r\x1b[2K"+line)
	p.drawn = true
}

// clear takes the line below away.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[2K")
		p.drawn = false
	}
}

// count says how many there are of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
