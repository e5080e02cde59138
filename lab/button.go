package lab

import (
	"context"
	"fmt"

	"github.com/g8os/g8os/lab/topology"
)

// ErrNoMachine is wrapped when a node has no such thing as it is no machine.
var ErrNoMachine = fmt.Errorf("it is no virtual machine (fidelity: vm)")

// PressPower presses the power button of a node that is a machine, and returns
// once it is off. Its lab's init stays: PowerCut and PowerOn switch it on.
func (n *Node) PressPower(ctx context.Context) error {
	if n.plan.Fidelity != topology.Virtual {
		return fmt.Errorf("power button of node %s: %w", n.Name(), ErrNoMachine)
	}
	v, _, err := vmBody{n}.vm()
	if err != nil {
		return err
	}
	err = n.fault(ctx, "fault", "power button", func() error { return v.Powerdown(ctx) })
	if err != nil {
		return err
	}
	return n.WaitOff(ctx)
}

// WaitOff returns once a node that is a machine has switched itself off.
func (n *Node) WaitOff(ctx context.Context) error {
	if n.plan.Fidelity != topology.Virtual {
		return fmt.Errorf("power of node %s: %w", n.Name(), ErrNoMachine)
	}
	_, m, err := vmBody{n}.vm()
	if err != nil {
		return err
	}
	_, err = m.Wait(ctx, qemuJob)
	return err
}

// Disks are the images of a machine's disks on the host, in the order of the
// topology: what is to be done to them is done while it has no power.
func (n *Node) Disks() []string {
	var all []string
	for i := range n.plan.VM.State {
		all = append(all, vmBody{n}.statePath(i))
	}
	return all
}
