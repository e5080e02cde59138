package real

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topology"
)

// dhcpActor is the scripted server among the processes of a DHCP server.
const dhcpActor = "dhcp"

// behindForeign is how a good server behaves beside a foreign one: that answers
// first.
const behindForeign = "slow 300ms"

// dhcp makes the DHCP server of a segment behave as the newest fault in force
// asks: a scripted server takes the place of dnsmasq, which keeps its leases.
func (g *Grid) dhcp(ctx context.Context, e entry) (grid.Measured, error) {
	s, err := g.lab.FindSegment(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	host, plan, err := s.DHCPHost()
	if errors.Is(err, lab.ErrUnknown) && e.Fault.Kind == fault.DHCPForeign {
		return grid.Measured{}, nil // the foreign one is the only one
	}
	if err != nil {
		return grid.Measured{}, err
	}
	mode := g.l.dhcpMode(s.Name())
	if mode == "" {
		return g.dnsmasq(ctx, s, host)
	}
	return g.scripted(ctx, s, host, plan, mode)
}

// dhcpMode is how the DHCP server of a segment is to behave, as lab/actor/dhcp
// has it; empty: well.
func (l *ledger) dhcpMode(segment string) string {
	mode := ""
	for _, f := range l.of(func(f fault.Fault) bool { return f.On == segment }) {
		word, is := strings.CutPrefix(f.Kind, "dhcp-")
		switch {
		case !is:
		case f.Kind == fault.DHCPForeign:
			if mode == "" {
				mode = behindForeign
			}
		case f.Kind == fault.DHCPSlow:
			mode = word + " " + f.Delay.String()
		case f.Kind == fault.DHCPInUse:
			mode = word + " " + f.Address.String()
		default:
			mode = word
		}
	}
	return mode
}

// dnsmasq puts the good server back.
func (g *Grid) dnsmasq(ctx context.Context, s *lab.Segment, host *lab.Host) (grid.Measured, error) {
	if err := host.Actor(dhcpActor).End(ctx); err != nil {
		return grid.Measured{}, err
	}
	if err := s.StartDHCP(ctx); err != nil {
		return grid.Measured{}, err
	}
	j, err := g.lab.Job(ctx, host.Name(), lab.DHCPJob)
	if err == nil && !j.Running() {
		err = fmt.Errorf("dnsmasq of segment %s does not run", s.Name())
	}
	return how("dnsmasq runs as process %d", j.PID), err
}

// scripted has the scripted server in a mode.
func (g *Grid) scripted(ctx context.Context, s *lab.Segment, host *lab.Host, plan topology.DHCP, mode string) (grid.Measured, error) {
	j, err := g.lab.Job(ctx, host.Name(), lab.DHCPJob)
	if err == nil && j.State != 0 {
		err = s.StopDHCP(ctx)
	}
	if err != nil {
		return grid.Measured{}, err
	}
	actor := host.Actor(dhcpActor)
	j, err = g.lab.Job(ctx, host.Name(), dhcpActor)
	if err == nil && j.State == 0 {
		actor, err = host.StartActor(ctx, dhcpActor, serverArgs(host.Address(), plan, mode)...)
	}
	if err != nil {
		return grid.Measured{}, err
	}
	if err := actor.Tell(ctx, strings.Fields(mode)...); err != nil {
		return grid.Measured{}, err
	}
	return how("the server on %s was told to be %q, and has taken it", host.Address(), mode), nil
}

// serverArgs have the scripted server hand out what dnsmasq did.
func serverArgs(address string, d topology.DHCP, mode string) []string {
	args := []string{"--server", address, "--pool", d.First.String() + "-" + d.Last.String(), "--lease", d.Lease.String(), "--mode", mode}
	if d.Gateway.IsValid() {
		args = append(args, "--router", d.Gateway.String())
	}
	for _, a := range d.DNS {
		args = append(args, "--dns", a.String())
	}
	return args
}
