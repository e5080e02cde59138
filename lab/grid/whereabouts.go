package grid

import (
	"fmt"
	"strings"
)

// mostNamed bounds how many nodes Whereabouts describes.
const mostNamed = 8

// Whereabouts says in one line where nodes are: the ones that are not managed,
// with what they wait for, and how many are.
func Whereabouts(nodes []Node) string {
	managed, more := 0, 0
	var lines []string
	for _, n := range nodes {
		switch {
		case n.Managed():
			managed++
		case len(lines) == mostNamed:
			more++
		case !n.Powered:
			lines = append(lines, n.Name+" is off")
		case !n.Running:
			lines = append(lines, n.Name+" does not run")
		default:
			line := fmt.Sprintf("%s in %s waits for %s", n.Name, n.Status.Phase, n.Status.WaitsFor)
			if n.Status.LastError != "" {
				line += " (" + n.Status.LastError + ")"
			}
			lines = append(lines, line)
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("%d more", more))
	}
	lines = append(lines, fmt.Sprintf("%d of %d managed", managed, len(nodes)))
	return strings.Join(lines, "; ")
}
