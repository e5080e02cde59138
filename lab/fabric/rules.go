package fabric

import (
	"context"
	"fmt"
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
	via, err := s.shape(ctx, segment, bad)
	if err != nil {
		return fail(err)
	}
	flows := flows(bad, ports, via)
	text := strings.Join(flows, "\n") + "\n"
	if _, err := s.run(ctx, []byte(text), "ovs-ofctl", "-O", "OpenFlow13", "replace-flows", s.mgmt(segment), "-"); err != nil {
		return fail(err)
	}
	out, err := s.run(ctx, nil, "ovs-ofctl", "-O", "OpenFlow13", "--no-stats", "dump-flows", s.mgmt(segment))
	if err != nil {
		return fail(fmt.Errorf("confirm: %w", err))
	}
	if got := strings.Count(out, "actions="); got != len(flows) {
		return fail(fmt.Errorf("asked for %d flows, %d are in force:\n%s", len(flows), got, out))
	}
	return nil
}
