package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/g8os/g8os/internal/table"
	"github.com/g8os/g8os/lab"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// phases in the order a node climbs them.
var phases = []string{"network", "unlock", "secure", "ssh", "sandbox", "managed"}

// change is news of one node.
type change struct {
	node   int
	status lab.Status
	ok     bool
}

// climb shows the nodes climb until all are managed, ctx ends or the lab is
// taken down, and returns how each stands then.
func climb(ctx context.Context, l *lab.Lab, w io.Writer, begun time.Time) []lab.Row {
	watching, stop := context.WithCancel(ctx)
	news := make(chan change)
	var watchers sync.WaitGroup
	for i, n := range l.Nodes() {
		watchers.Go(func() {
			n.Watch(watching, func(s lab.Status, ok bool) bool {
				select {
				case news <- change{i, s, ok}:
					return true
				case <-watching.Done():
					return false
				}
			})
		})
	}
	seen := show(ctx, l, w, begun, news)
	stop()
	watchers.Wait()
	if !allManaged(seen) {
		// ctx may have ended: how things stand is still asked.
		return l.Status(context.WithoutCancel(ctx)).Nodes
	}
	var rows []lab.Row // as they have said: not all may have time to say it again, all at once
	for i, n := range l.Nodes() {
		rows = append(rows, n.Row(seen[i]))
	}
	return rows
}

func allManaged(seen []lab.Status) bool {
	return !slices.ContainsFunc(seen, func(s lab.Status) bool { return s.Phase != lab.PhaseManaged })
}

// show prints news until every node is managed, ctx ends or the lab is gone,
// and returns what each node said last.
func show(ctx context.Context, l *lab.Lab, w io.Writer, begun time.Time, news <-chan change) []lab.Status {
	nodes := l.Nodes()
	seen := make([]lab.Status, len(nodes))
	plain := newLines(len(nodes))
	var live *block
	if terminal(w) {
		live = &block{w: w}
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return seen
		case <-tick.C:
			if !lab.Exists(l.Name()) {
				return seen
			}
		case c := <-news:
			if !c.ok {
				continue
			}
			if live == nil && plain.worth(c.node, c.status.Phase, time.Now()) {
				fmt.Fprintf(w, "%5.1fs  %s\n", time.Since(begun).Seconds(), newsLine(nodes[c.node].Name(), c.status))
			}
			seen[c.node] = c.status
		}
		if live != nil {
			_, height := table.Size(w)
			live.draw(picture(nodes, seen, begun, height))
		}
		if allManaged(seen) {
			return seen
		}
	}
}

// lines decides what is worth a line where nothing can be drawn over: a phase
// that a node has not reached before, and once in a while how it stands.
type lines struct {
	best []int
	last []time.Time
}

// repeat is how often a node that goes up and down is worth a line.
const repeat = 10 * time.Second

func newLines(nodes int) *lines {
	l := &lines{best: make([]int, nodes), last: make([]time.Time, nodes)}
	for i := range l.best {
		l.best[i] = -1
	}
	return l
}

func (l *lines) worth(node int, phase string, now time.Time) bool {
	at := slices.Index(phases, phase)
	if at <= l.best[node] && now.Sub(l.last[node]) < repeat {
		return false
	}
	l.best[node], l.last[node] = max(at, l.best[node]), now
	return true
}

func newsLine(name string, s lab.Status) string {
	line := name + ": " + s.Phase
	if s.Way != "" {
		line += " (" + s.Way + " " + s.Address + ")"
	}
	return line
}

// picture is the live display: a line a node, or a count a phase when there
// are more than a terminal of so many lines can draw over.
func picture(nodes []*lab.Node, seen []lab.Status, begun time.Time, height int) []string {
	head := fmt.Sprintf("%5.1fs", time.Since(begun).Seconds())
	if len(nodes) > min(24, height-3) {
		counts := map[string]int{}
		for _, s := range seen {
			counts[s.Phase]++
		}
		line := fmt.Sprintf("%s  starting %d", head, counts[""])
		for _, p := range phases {
			line += fmt.Sprintf("  %s %d", p, counts[p])
		}
		return []string{line}
	}
	lines := []string{head}
	for i, n := range nodes {
		at := slices.Index(phases, seen[i].Phase) + 1
		bar := strings.Repeat("█", at) + strings.Repeat("░", len(phases)-at)
		lines = append(lines, fmt.Sprintf("  %-16s %s %-8s %-10s %s", n.Name(), bar, seen[i].Phase, seen[i].Way, seen[i].WaitsFor))
	}
	return lines
}

// block is a part of the terminal that is drawn over and over.
type block struct {
	w     io.Writer
	drawn int
}

// draw replaces what was drawn before. Lines are cut to the width of the
// terminal: a line that wraps would break the count.
func (b *block) draw(lines []string) {
	width, _ := table.Size(b.w)
	var s strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&s, "\x1b[%dA", b.drawn)
	}
	for _, line := range lines {
		if r := []rune(line); len(r) >= width {
			line = string(r[:width-1])
		}
		s.WriteString("\r\x1b[2K" + line + "\n")
	}
	b.drawn = len(lines)
	_, _ = io.WriteString(b.w, s.String())
}
