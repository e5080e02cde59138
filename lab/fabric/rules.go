package fabric

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/g8os/g8os/lab/impair/link"
)

// Cut stops frames from one machine to another on a segment, one way. An empty
// name means everybody.
type Cut struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Impairment is how the link from one machine to another misbehaves on a
// segment, one way. An empty name means everybody.
type Impairment struct {
	From string    `json:"from"`
	To   string    `json:"to"`
	Spec link.Spec `json:"spec"`
}

// Rules are what is wrong with a segment. What concerns the same two machines
// adds up.
type Rules struct {
	Cuts     []Cut
	Impaired []Impairment
}

// Of is what is wrong with the link from one machine to another.
func (r Rules) Of(from, to string) link.Spec {
	var sum link.Spec
	if slices.ContainsFunc(r.Cuts, func(c Cut) bool { return covers(c.From, c.To, from, to) }) {
		sum.Loss = 100
	}
	for _, i := range r.Impaired {
		if covers(i.From, i.To, from, to) {
			sum = sum.Add(i.Spec)
		}
	}
	return sum
}

// Empty says that nothing is wrong.
func (r Rules) Empty() bool { return len(r.Cuts) == 0 && len(r.Impaired) == 0 }

func covers(ruleFrom, ruleTo, from, to string) bool {
	return (ruleFrom == "" || ruleFrom == from) && (ruleTo == "" || ruleTo == to)
}

// pair is a link that something is wrong with.
type pair struct {
	from, to Attached
	spec     link.Spec
}

// name is the same as long as the two NICs are, whatever their ports.
func (p pair) name() string {
	return p.from.Machine + "/" + p.from.NIC + ">" + p.to.Machine + "/" + p.to.NIC
}

// pairs works out which links of a segment something is wrong with, in order
// of the ports.
func pairs(r Rules, ports []Attached) []pair {
	if r.Empty() {
		return nil
	}
	var all []pair
	for _, from := range ports {
		for _, to := range ports {
			if from.Number == to.Number {
				continue
			}
			if spec := r.Of(from.Machine, to.Machine); !spec.Zero() {
				all = append(all, pair{from, to, spec})
			}
		}
	}
	return all
}

// Apply makes exactly these rules the ones in force on a segment, and returns
// once the switch has confirmed them.
func (s *Switch) Apply(ctx context.Context, segment string, r Rules) error {
	fail := func(err error) error {
		return fmt.Errorf("segment %s: cut %v, impair %v: %w", segment, r.Cuts, r.Impaired, err)
	}
	ports, err := s.Ports(ctx)
	if err != nil {
		return fail(err)
	}
	ports = slices.DeleteFunc(ports, func(a Attached) bool { return a.Segment != segment || a.Number <= 0 })
	bad := pairs(r, ports)
	via, err := s.conduits(ctx, segment, bad)
	if err != nil {
		return fail(err)
	}
	if err := s.replace(ctx, segment, flows(bad, ports, via)); err != nil {
		return fail(err)
	}
	return nil
}

// replace makes these flows a bridge's whole table, and reads them back.
func (s *Switch) replace(ctx context.Context, segment string, flows []string) error {
	text := strings.Join(flows, "\n") + "\n"
	if _, err := s.run(ctx, []byte(text), "ovs-ofctl", "-O", "OpenFlow13", "replace-flows", s.mgmt(segment), "-"); err != nil {
		return err
	}
	out, err := s.run(ctx, nil, "ovs-ofctl", "-O", "OpenFlow13", "--no-stats", "dump-flows", s.mgmt(segment))
	if err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	if got := strings.Count(out, "actions="); got != len(flows) {
		return fmt.Errorf("asked for %d flows, %d are in force:\n%s", len(flows), got, out)
	}
	return nil
}

// conduits makes a way for every link that frames get through: a cable that is
// late where that is all there is to it and the kernel can do it, the shaper
// otherwise.
func (s *Switch) conduits(ctx context.Context, segment string, bad []pair) (map[string]conduit, error) {
	var late, shaped []pair
	for _, p := range bad {
		netem := false
		if isLate(p.spec) {
			var err error
			if netem, err = s.hasNetem(); err != nil {
				return nil, err
			}
		}
		switch {
		case netem:
			late = append(late, p)
		case !p.spec.Dead():
			shaped = append(shaped, p)
		}
	}
	via, err := s.shape(ctx, segment, shaped)
	if err != nil {
		return nil, err
	}
	cables, err := s.late(ctx, segment, late, netem)
	if err != nil {
		return nil, err
	}
	return merge(via, cables), nil
}

// merge is the ways through the shaper and those through cables. What the one
// still holds of a link that has gone over to the other is lost.
func merge(via, cables map[string]conduit) map[string]conduit {
	all := maps.Clone(cables)
	if all == nil {
		all = map[string]conduit{}
	}
	for name, c := range via {
		if other, both := cables[name]; !both || other.gone {
			all[name] = c
		}
	}
	return all
}
