package fabric

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Cut stops frames from one machine to another on a segment, one way. An empty
// name means everybody.
type Cut struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// SetCuts makes exactly these cuts the ones in force on a segment, and returns
// once the switch has confirmed them.
func (s *Switch) SetCuts(ctx context.Context, segment string, cuts []Cut) error {
	ports, err := s.Ports(ctx)
	if err != nil {
		return err
	}
	ports = slices.DeleteFunc(ports, func(a Attached) bool { return a.Segment != segment || a.Number <= 0 })
	flows := flows(cuts, ports)
	text := strings.Join(flows, "\n") + "\n"
	if _, err := s.run(ctx, []byte(text), "ovs-ofctl", "replace-flows", s.mgmt(segment), "-"); err != nil {
		return fmt.Errorf("segment %s: cut %v: %w", segment, cuts, err)
	}
	out, err := s.run(ctx, nil, "ovs-ofctl", "--no-stats", "dump-flows", s.mgmt(segment))
	if err != nil {
		return fmt.Errorf("segment %s: confirm cuts: %w", segment, err)
	}
	if got := strings.Count(out, "actions="); got != len(flows) {
		return fmt.Errorf("segment %s: cut %v: asked for %d flows, %d are in force:\n%s", segment, cuts, len(flows), got, out)
	}
	return nil
}

// flows works out a bridge's whole table. A frame to many is sent to all but
// the ports it is cut off from; a frame to one is dropped by its address.
//
//	0     everything              NORMAL
//	1000  from a port, to many    the ports that are left
//	1000  from a port, to a MAC   drop
//	1001  from a port             drop, when it is cut off from everybody
func flows(cuts []Cut, ports []Attached) []string {
	all := []string{"priority=0,actions=NORMAL"}
	for _, from := range ports {
		var lost, left []Attached
		for _, to := range ports {
			switch {
			case to.Number == from.Number:
			case slices.ContainsFunc(cuts, func(c Cut) bool { return c.covers(from.Machine, to.Machine) }):
				lost = append(lost, to)
			default:
				left = append(left, to)
			}
		}
		in := "in_port=" + strconv.Itoa(from.Number)
		switch {
		case len(lost) == 0:
			continue
		case len(left) == 0:
			all = append(all, "priority=1001,"+in+",actions=drop")
			continue
		}
		var outputs []string
		for _, to := range left {
			outputs = append(outputs, "output:"+strconv.Itoa(to.Number))
		}
		all = append(all, "priority=1000,"+in+",dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions="+strings.Join(outputs, ","))
		for _, to := range lost {
			all = append(all, "priority=1000,"+in+",dl_dst="+to.MAC+",actions=drop")
		}
	}
	return all
}

func (c Cut) covers(from, to string) bool {
	return (c.From == "" || c.From == from) && (c.To == "" || c.To == to)
}
