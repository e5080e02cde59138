package real

import (
	"context"
	"slices"
	"strings"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/impair/link"
)

// pair is one direction between two machines; an empty name is everybody.
type pair struct{ from, to string }

// pairs are the directions that a fault acts on.
func pairs(f fault.Fault) []pair {
	all := []pair{{f.From, f.To}}
	if f.Both {
		all = append(all, pair{f.To, f.From})
	}
	return all
}

// link makes the links of a fault as bad as all faults on them ask: their
// impairments add up, a partition is a cut.
func (g *Grid) link(ctx context.Context, e entry) (grid.Measured, error) {
	var all []grid.Measured
	for _, name := range fault.Shared(g.Plan(), e.Fault.From, e.Fault.To) {
		s, err := g.lab.FindSegment(name)
		if err != nil {
			return grid.Measured{}, err
		}
		for _, p := range pairs(e.Fault) {
			do := g.impair
			if e.Fault.Kind == fault.Partition {
				do = g.cut
			}
			m, err := do(ctx, s, p)
			if err != nil {
				return grid.Measured{}, err
			}
			all = append(all, m)
		}
	}
	return merge(all), nil
}

// impair gives one direction the sum of all faults on it.
func (g *Grid) impair(ctx context.Context, s *lab.Segment, p pair) (grid.Measured, error) {
	sum, err := g.l.spec(p)
	if err != nil {
		return grid.Measured{}, err
	}
	return s.Impair(ctx, p.from, p.to, sum)
}

// spec is the sum of the faults in force on one direction, partitions apart.
func (l *ledger) spec(p pair) (link.Spec, error) {
	var sum link.Spec
	for _, f := range l.of(func(f fault.Fault) bool { return isLink(f) && slices.Contains(pairs(f), p) }) {
		one, err := link.FromFault(f)
		if err != nil {
			return sum, err
		}
		sum = sum.Add(one)
	}
	return sum, nil
}

// isLink tells faults that impair a link from those that cut it.
func isLink(f fault.Fault) bool {
	k, err := fault.Find(f.Kind)
	return err == nil && k.Class == fault.Link && f.Kind != fault.Partition
}

// cut cuts one direction, or mends it. Cuts that no fault has made stay.
func (g *Grid) cut(ctx context.Context, s *lab.Segment, p pair) (grid.Measured, error) {
	c := lab.Cut{From: p.from, To: p.to}
	is := slices.Contains(s.Cuts(), c)
	want := len(g.l.of(func(f fault.Fault) bool { return f.Kind == fault.Partition && slices.Contains(pairs(f), p) })) > 0
	var err error
	switch {
	case want && !is:
		err = s.Cut(ctx, c)
	case !want && is:
		err = s.Mend(ctx, c)
	}
	return how("segment %s: the switch has the flows that drop frames from %s to %s", s.Name(), anybody(p.from), anybody(p.to)), err
}

func anybody(name string) string {
	if name == "" {
		return "everybody"
	}
	return name
}

// merge is what was measured in several directions: the first number of each
// kind, and all that was said.
func merge(all []grid.Measured) grid.Measured {
	var sum grid.Measured
	var said []string
	for i, m := range all {
		if i == 0 {
			sum = m
		} else {
			sum.Packets += m.Packets
		}
		said = append(said, m.How)
	}
	sum.How = strings.Join(said, "; ")
	return sum
}
