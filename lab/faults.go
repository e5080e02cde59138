package lab

import (
	"context"
	"fmt"
	"slices"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/record"
)

// Cut stops frames on a segment, one way, from one machine (node, AC or host)
// to another; an empty name means everybody.
type Cut = fabric.Cut

// Impairment is how the link from one machine of a segment to another
// misbehaves, one way; an empty name means everybody.
type Impairment = fabric.Impairment

// Cut adds cuts to those in force. It returns once the switch has confirmed.
func (s *Segment) Cut(ctx context.Context, cuts ...Cut) error {
	for _, c := range cuts {
		if err := s.check("cut off", c.From, c.To); err != nil {
			return err
		}
	}
	return s.changeRules(ctx, "fault", fmt.Sprintf("cuts %v", cuts), func(r *fabric.Rules) { r.Cuts = append(slices.Clone(r.Cuts), cuts...) })
}

// Isolate cuts a machine off the segment, both ways.
func (s *Segment) Isolate(ctx context.Context, name string) error {
	return s.Cut(ctx, Cut{From: name}, Cut{To: name})
}

// Heal removes all cuts of the segment.
func (s *Segment) Heal(ctx context.Context) error {
	return s.changeRules(ctx, "heal", "no cuts", func(r *fabric.Rules) { r.Cuts = nil })
}

// Cuts are those in force.
func (s *Segment) Cuts() []Cut { return s.rules().Cuts }

// Impair makes spec what is wrong with the link from one machine of the segment
// to another, one way, in place of what Impair had made of it before; a zero
// spec makes it well. An empty name means everybody. What concerns the same two
// machines adds up, cuts too. It returns once the switch has confirmed, with
// what the link was measured to do; a link that could not be measured is no
// error, How says why.
func (s *Segment) Impair(ctx context.Context, from, to string, spec link.Spec) (grid.Measured, error) {
	if err := s.check("impair", from, to); err != nil {
		return grid.Measured{}, err
	}
	if err := spec.Check(); err != nil {
		return grid.Measured{}, fmt.Errorf("segment %s: impair %s: %w", s.Name(), direction(from, to), err)
	}
	kind := "fault"
	if spec.Zero() {
		kind = "heal"
	}
	err := s.changeRules(ctx, kind, direction(from, to)+": "+spec.String(), func(r *fabric.Rules) {
		r.Impaired = slices.DeleteFunc(slices.Clone(r.Impaired), func(i Impairment) bool { return i.From == from && i.To == to })
		if !spec.Zero() {
			r.Impaired = append(r.Impaired, Impairment{From: from, To: to, Spec: spec})
		}
	})
	if err != nil {
		return grid.Measured{}, err
	}
	return s.Measure(ctx, from, to)
}

// Impairments are those in force.
func (s *Segment) Impairments() []Impairment { return s.rules().Impaired }

func direction(from, to string) string {
	name := func(s string) string {
		if s == "" {
			return "everybody"
		}
		return s
	}
	return name(from) + " to " + name(to)
}

// check refuses what is no link of the segment.
func (s *Segment) check(doing, from, to string) error {
	for _, name := range []string{from, to} {
		if name != "" && !s.has(name) {
			return fmt.Errorf("segment %s: %s %q: %w %s, or it has no NIC there", s.Name(), doing, name, ErrUnknown, s.lab.Name())
		}
	}
	if from != "" && from == to {
		return fmt.Errorf("segment %s: %s %s from itself: want two machines", s.Name(), doing, from)
	}
	return nil
}

// rules are what is wrong with the segment, as this handle knows.
func (s *Segment) rules() fabric.Rules {
	s.lab.mu.Lock()
	defer s.lab.mu.Unlock()
	return s.lab.st.rules(s.Name())
}

func (st *state) rules(segment string) fabric.Rules {
	return fabric.Rules{Cuts: slices.Clone(st.Cuts[segment]), Impaired: slices.Clone(st.Impaired[segment])}
}

func (st *state) setRules(segment string, r fabric.Rules) {
	if st.Cuts == nil {
		st.Cuts = map[string][]Cut{}
	}
	if st.Impaired == nil {
		st.Impaired = map[string][]Impairment{}
	}
	st.Cuts[segment], st.Impaired[segment] = r.Cuts, r.Impaired
}

// changeRules changes what is wrong with the segment, notes that down, and puts
// it into force. One at a time does, of all processes: the switch is told of all
// rules at once.
func (s *Segment) changeRules(ctx context.Context, kind, note string, f func(*fabric.Rules)) error {
	l := s.lab
	sw, err := l.fabric(s.Name())
	if err != nil {
		return err
	}
	return l.rec.Alone("rules."+s.Name(), func() error {
		if err := l.rec.Note(record.Event{Time: now(), Kind: kind, Note: fmt.Sprintf("segment %s: %s", s.Name(), note)}); err != nil {
			return err
		}
		var r fabric.Rules
		err := l.change(func(st *state) {
			r = st.rules(s.Name())
			f(&r)
			st.setRules(s.Name(), r)
		})
		if err != nil {
			return err
		}
		return sw.Apply(ctx, s.Name(), r)
	})
}

// restore puts what is wrong with the segment back in force: its switch is new,
// or has ports that are.
func (s *Segment) restore(ctx context.Context, sw *fabric.Switch) error {
	return s.lab.rec.Alone("rules."+s.Name(), func() error {
		var r fabric.Rules
		if err := s.lab.change(func(st *state) { r = st.rules(s.Name()) }); err != nil || r.Empty() {
			return err
		}
		return sw.Apply(ctx, s.Name(), r)
	})
}
