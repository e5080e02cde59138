package real

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// pulled tells whether a fault in force has a cable pulled.
func (g *Grid) pulled(node, nic string) bool {
	return len(g.l.of(func(f fault.Fault) bool { return f.Kind == fault.Cable && f.On == node && nicOf(f) == nic })) > 0
}

// nicOf is the NIC that a fault names, or the first.
func nicOf(f fault.Fault) string {
	if f.NIC == "" {
		return "eth0"
	}
	return f.NIC
}

// nicNumber is the place of the NIC that a fault names.
func nicNumber(n *lab.Node, f fault.Fault) int {
	for i, p := range n.Plan().Ports {
		if p.NIC == nicOf(f) {
			return i
		}
	}
	return -1 // the lab says what there is
}

func (g *Grid) cable(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	nic := nicOf(e.Fault)
	want := g.pulled(n.Name(), nic)
	if !n.Powered() {
		return how("it has no power; the cable is out when it has"), nil
	}
	if err := n.SetCarrier(ctx, nicNumber(n, e.Fault), !want); err != nil {
		return grid.Measured{}, err
	}
	var carrier string
	err = until(ctx, nic+" has lost its carrier, or has it back", func() (bool, error) {
		carrier, err = g.carrier(ctx, n, nic)
		return carrier == "" || (carrier == "1") != want, err
	})
	if carrier == "" {
		return how("its end of the cable is down, and so is %s", nic), err
	}
	return how("%s says carrier %s", nic, carrier), err
}

// carrier is what the node sees: 1, 0, or nothing when the NIC is down.
func (g *Grid) carrier(ctx context.Context, n *lab.Node, nic string) (string, error) {
	path := "/sys/class/net/" + nic + "/carrier"
	if isVM(n.Plan()) {
		r, err := g.inside(ctx, n, "cat", path)
		return strings.TrimSpace(r), err
	}
	proc, err := g.lab.Init(n.Name())
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(proc.PID) + "/root" + path)
	if errors.Is(err, syscall.EINVAL) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// move plugs a NIC in where the newest fault wants it, or where it belongs.
func (g *Grid) move(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	to := ""
	for _, f := range g.l.of(func(f fault.Fault) bool {
		return f.Kind == fault.Move && f.On == n.Name() && nicOf(f) == nicOf(e.Fault)
	}) {
		to = f.To
	}
	i := nicNumber(n, e.Fault)
	if err := n.Move(ctx, i, to); err != nil {
		return grid.Measured{}, err
	}
	if g.pulled(n.Name(), nicOf(e.Fault)) && n.Powered() {
		if err := n.SetCarrier(ctx, i, false); err != nil {
			return grid.Measured{}, err
		}
	}
	return how("the switch of segment %s has its port", n.Plan().Ports[i].Segment), nil
}
