package report

import (
	"fmt"
	"slices"

	"github.com/g8os/g8os/lab/topology"
)

// picture is the grid as it was when the run ended: ACs above, segments as
// lines, nodes below them.
type picture struct {
	Width, Height int
	Segments      []pictured
	ACs           []pictured
	Legs          []leg
	Nodes         []dot
	More          []pictured // how many nodes a segment has besides
	Left          int        // segments that are not drawn
}

type pictured struct {
	X, Y, Width int
	Name, Tip   string
}

type leg struct{ X1, Y1, X2, Y2 int }

type dot struct {
	X, Y       int
	Class, Tip string
}

// Sizes of the picture, in pixels.
const (
	segmentWidth = 200
	gapWidth     = 24
	acY, lineY   = 30, 100
	dotSize      = 16
	perLine      = segmentWidth / dotSize
	maxDots      = perLine * 8
	maxSegments  = 12
)

func draw(plan *topology.Plan, nodes []history) picture {
	shown := plan.Segments[:min(len(plan.Segments), maxSegments)]
	p := picture{Left: len(plan.Segments) - len(shown), Width: max(len(shown), 1)*(segmentWidth+gapWidth) + gapWidth}
	x := map[string]int{}
	for i, s := range shown {
		x[s.Name] = gapWidth + i*(segmentWidth+gapWidth)
		tip := s.Name
		if s.Subnet.IsValid() {
			tip += " " + s.Subnet.String()
		}
		if s.DHCP != nil {
			tip += ", DHCP"
		}
		p.Segments = append(p.Segments, pictured{x[s.Name], lineY, segmentWidth, s.Name, tip})
	}
	p.controllers(plan, x)
	p.Height = lineY + 40 + p.dots(plan, nodes, x)*dotSize
	return p
}

func (p *picture) controllers(plan *topology.Plan, x map[string]int) {
	for i, m := range plan.ACs {
		ac := pictured{X: p.Width * (2*i + 1) / (2 * len(plan.ACs)), Y: acY, Name: m.Name}
		p.ACs = append(p.ACs, ac)
		for _, q := range m.Ports {
			if at, ok := x[q.Segment]; ok {
				p.Legs = append(p.Legs, leg{ac.X, acY + 14, at + segmentWidth/2, lineY})
			}
		}
	}
}

// dots places the nodes, those of a segment side by side, and returns how many
// lines of them there are. The ones in trouble are shown first.
func (p *picture) dots(plan *topology.Plan, nodes []history, x map[string]int) (lines int) {
	on := map[string][]int{}
	for i, m := range plan.Nodes {
		on[m.Ports[0].Segment] = append(on[m.Ports[0].Segment], i)
	}
	for _, s := range p.Segments {
		all := on[s.Name]
		slices.SortStableFunc(all, func(a, b int) int {
			return compareBool(nodes[a].last() == "managed", nodes[b].last() == "managed")
		})
		for n, i := range all[:min(len(all), maxDots)] {
			lines = max(lines, n/perLine+1)
			p.Nodes = append(p.Nodes, dot{
				X: x[s.Name] + n%perLine*dotSize + dotSize/2, Y: lineY + 20 + n/perLine*dotSize,
				Class: nodes[i].last(), Tip: nodes[i].name + ": " + nodes[i].last(),
			})
		}
		if more := len(all) - maxDots; more > 0 {
			p.More = append(p.More, pictured{X: x[s.Name], Y: lineY + 30 + maxDots/perLine*dotSize, Name: fmt.Sprintf("and %d more", more)})
			lines = max(lines, maxDots/perLine+1)
		}
	}
	return lines
}
