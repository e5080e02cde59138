package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/topology"
)

// nodes are those of the plan, plugged in where they are now.
func (l *Lab) nodes() []topology.Machine {
	l.mu.Lock()
	moved := maps.Clone(l.st.Moved)
	l.mu.Unlock()
	all := slices.Clone(l.st.Plan.Nodes)
	for i, m := range all {
		all[i].Ports = slices.Clone(m.Ports)
		for j, p := range m.Ports {
			if to, ok := moved[m.Name+"/"+p.NIC]; ok {
				all[i].Ports[j].Segment = to
			}
		}
	}
	return all
}

// Move plugs a NIC of the node into another segment: the node sees it go and
// come back, with the same name and MAC. A node without power finds itself
// there when it is switched on. An empty segment is the one of the topology.
func (n *Node) Move(ctx context.Context, nic int, segment string) error {
	was, err := n.port(nic)
	if err != nil {
		return err
	}
	if segment == "" {
		segment = n.lab.home(n.Name()).Ports[nic].Segment
	}
	if _, err := n.lab.FindSegment(segment); err != nil {
		return err
	}
	if was.Segment == segment {
		return nil
	}
	powered := n.Powered()
	if err := n.leave(ctx, nic, was, powered); err != nil {
		return err
	}
	if err := n.lab.change(func(st *state) { st.move(n.Name(), was.NIC, segment) }); err != nil {
		return err
	}
	n.plan.Ports = slices.Clone(n.plan.Ports)
	n.plan.Ports[nic].Segment = segment
	if !powered {
		return nil
	}
	if err := n.Plug(ctx, nic); err != nil {
		return fmt.Errorf("move %s of %s to segment %s: %w", was.NIC, n.Name(), segment, err)
	}
	return nil
}

// leave takes a NIC off its segment.
func (n *Node) leave(ctx context.Context, nic int, p fabric.Port, powered bool) error {
	if powered {
		return n.Unplug(ctx, nic)
	}
	sw, err := n.lab.fabric(p.Segment)
	if err != nil {
		return err
	}
	return sw.Disconnect(ctx, []fabric.Port{p})
}

func (st *state) move(node, nic, segment string) {
	moved := maps.Clone(st.Moved)
	if moved == nil {
		moved = map[string]string{}
	}
	moved[node+"/"+nic] = segment
	st.Moved = moved
}

// home is a node as the topology has it.
func (l *Lab) home(node string) topology.Machine {
	i := slices.IndexFunc(l.st.Plan.Nodes, func(m topology.Machine) bool { return m.Name == node })
	return l.st.Plan.Nodes[i]
}
