package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// order of phases, from bad to good; the page has a colour for each.
var order = []string{"off", "down", "network", "unlock", "secure", "ssh", "sandbox", "managed"}

// area is a phase in the chart that stacks how many nodes are in which.
type area struct {
	Phase  string
	Points string // of an SVG polygon, 1000 wide and 100 high
}

// columns of the chart.
const columns = 250

// crowd counts, for each column, how many nodes are in which phase, and stacks
// the counts.
func crowd(nodes []history, s scale) []area {
	counts := make([][columns]int, len(order))
	for _, n := range nodes {
		at := 0 // the span in force
		for c := range columns {
			t := s.from + (s.to-s.from)*time.Duration(c)/columns
			for at+1 < len(n.spans) && n.spans[at+1].from <= t {
				at++
			}
			if at < len(n.spans) && n.spans[at].from <= t {
				if i := slices.Index(order, n.spans[at].phase); i >= 0 {
					counts[i][c]++
				}
			}
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	var base [columns]int
	var all []area
	for i := len(order) - 1; i >= 0; i-- { // managed at the bottom
		all = append(all, area{order[i], polygon(base, counts[i], len(nodes))})
		for c := range columns {
			base[c] += counts[i][c]
		}
	}
	return all
}

// polygon runs along the upper edge of an area and back along its lower one, in
// steps.
func polygon(base, height [columns]int, whole int) string {
	var there, back strings.Builder
	for c := range columns {
		left, right := c*1000/columns, (c+1)*1000/columns
		y := 100 - 100*float64(base[c]+height[c])/float64(whole)
		fmt.Fprintf(&there, "%d,%.4g %d,%.4g ", left, y, right, y)
		b := columns - 1 - c
		y = 100 - 100*float64(base[b])/float64(whole)
		fmt.Fprintf(&back, "%d,%.4g %d,%.4g ", (b+1)*1000/columns, y, b*1000/columns, y)
	}
	return strings.TrimSpace(there.String() + back.String())
}

// legend lists the phases that occur.
func legend(nodes []history) []string {
	seen := map[string]bool{}
	for _, n := range nodes {
		for _, x := range n.spans {
			seen[x.phase] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(order), func(p string) bool { return !seen[p] })
}
