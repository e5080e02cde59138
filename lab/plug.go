package lab

import (
	"context"
	"fmt"
	"strings"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/record"
)

// Unplug takes a NIC out of a node that runs, as hot-plug does. A power cut
// and the next PowerOn bring it back, and so does Plug.
func (n *Node) Unplug(ctx context.Context, nic int) error {
	p, sw, err := n.cable(nic)
	if err != nil {
		return err
	}
	if err := n.lab.rec.Note(record.Event{Time: now(), Kind: "fault", Machine: n.Name(), Note: "without " + p.NIC}); err != nil {
		return err
	}
	return sw.Unplug(ctx, p)
}

// Plug puts a NIC into a node that runs, in place of the one that Unplug took
// out: its name and MAC are the same, its index is another.
func (n *Node) Plug(ctx context.Context, nic int) error {
	p, sw, err := n.cable(nic)
	if err != nil {
		return err
	}
	m, err := n.lab.machine(n.Name())
	if err != nil {
		return err
	}
	if err := n.lab.rec.Note(record.Event{Time: now(), Kind: "heal", Machine: n.Name(), Note: p.NIC + " is back"}); err != nil {
		return err
	}
	if err := sw.Plug(m.Proc.PID, p); err != nil {
		return err
	}
	// As for the NICs of the start: see machine.setUpNet.
	r, err := run(ctx, []string{"ethtool", "-K", p.NIC, "tx", "off"}, m.EnterNet)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("checksum offload of %s of %s off: %s", p.NIC, n.Name(), strings.TrimSpace(r.Stderr))
	}
	if err != nil {
		return err
	}
	return n.lab.connect(ctx, p.Segment, []fabric.Port{p})
}

// cable is a NIC by number, and the switch it is plugged into.
func (n *Node) cable(nic int) (fabric.Port, *fabric.Switch, error) {
	all := cables(n.plan)
	if nic < 0 || nic >= len(all) {
		return fabric.Port{}, nil, fmt.Errorf("node %s: NIC %d: %w %s; it has %d", n.Name(), nic, ErrUnknown, n.lab.Name(), len(all))
	}
	sw, err := n.lab.fabric(all[nic].Segment)
	return all[nic], sw, err
}
