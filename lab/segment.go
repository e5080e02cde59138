package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

// dhcpJob is dnsmasq among the processes of a DHCP server.
const dhcpJob = "dnsmasq"

// Segment is a layer 2 network of the lab.
type Segment struct {
	lab  *Lab
	plan topology.Segment
}

// Cut stops frames on a segment, one way, from one machine (node, AC or host)
// to another; an empty name means everybody.
type Cut = fabric.Cut

// Name of the segment.
func (s *Segment) Name() string { return s.plan.Name }

// dhcp is the machine of the segment's DHCP server; ok is false without one.
func (s *Segment) dhcp() (topology.Machine, bool) {
	for _, m := range s.lab.st.Plan.DHCP {
		if m.Ports[0].Segment == s.Name() {
			return m, true
		}
	}
	return topology.Machine{}, false
}

// StartDHCP starts the segment's DHCP server, if it has one and it does not run.
func (s *Segment) StartDHCP(ctx context.Context) error {
	plan, ok := s.dhcp()
	if !ok {
		return nil
	}
	m, err := s.lab.machine(plan.Name)
	if err != nil {
		return err
	}
	if st, ok, err := m.Job(ctx, dhcpJob); err != nil || ok && st.Running {
		return err
	}
	leases := filepath.Join(s.lab.machineDir(plan.Name), "leases")
	return m.Start(ctx, machine.Job{Name: dhcpJob, Argv: dnsmasq(*plan.DHCP, leases), Log: plan.Name + ".log"})
}

// dnsmasq is the command line of a DHCP server without DNS. Addresses are not
// pinged before they are offered: the client probes them.
func dnsmasq(d topology.DHCP, leases string) []string {
	argv := []string{"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping",
		"--interface=eth0", "--bind-interfaces", "--dhcp-authoritative", "--log-dhcp", "--log-facility=-", "--pid-file=",
		"--user=root", "--no-hosts", "--no-resolv", "--dhcp-leasefile=" + leases,
		fmt.Sprintf("--dhcp-range=%s,%s,%d", d.First, d.Last, int(d.Lease/time.Second))}
	router := "--dhcp-option=option:router"
	if d.Gateway.IsValid() {
		router += "," + d.Gateway.String()
	}
	dns := "--dhcp-option=option:dns-server"
	for _, a := range d.DNS {
		dns += "," + a.String()
	}
	return append(argv, router, dns)
}

// StopDHCP ends the DHCP server with SIGKILL; it keeps its leases.
func (s *Segment) StopDHCP(ctx context.Context) error {
	return s.signalDHCP(ctx, syscall.SIGKILL)
}

// PauseDHCP freezes the DHCP server: requests pile up and are answered late.
func (s *Segment) PauseDHCP(ctx context.Context) error {
	return s.signalDHCP(ctx, syscall.SIGSTOP)
}

// ResumeDHCP undoes PauseDHCP.
func (s *Segment) ResumeDHCP(ctx context.Context) error {
	return s.signalDHCP(ctx, syscall.SIGCONT)
}

func (s *Segment) signalDHCP(ctx context.Context, sig syscall.Signal) error {
	plan, ok := s.dhcp()
	if !ok {
		return fmt.Errorf("segment %s: DHCP server: %w %s", s.Name(), ErrUnknown, s.lab.Name())
	}
	m, err := s.lab.machine(plan.Name)
	if err != nil {
		return err
	}
	if err := m.Signal(ctx, dhcpJob, sig); err != nil {
		return err
	}
	if sig == syscall.SIGKILL {
		_, err = m.Wait(ctx, dhcpJob)
	}
	return err
}

// Cut adds cuts to those in force. It returns once the switch has confirmed.
func (s *Segment) Cut(ctx context.Context, cuts ...Cut) error {
	return s.setCuts(ctx, append(slices.Clone(s.Cuts()), cuts...))
}

// Isolate cuts a machine off the segment, both ways.
func (s *Segment) Isolate(ctx context.Context, name string) error {
	return s.Cut(ctx, Cut{From: name}, Cut{To: name})
}

// Heal removes all cuts of the segment.
func (s *Segment) Heal(ctx context.Context) error { return s.setCuts(ctx, nil) }

// Cuts are those in force.
func (s *Segment) Cuts() []Cut {
	s.lab.mu.Lock()
	defer s.lab.mu.Unlock()
	return slices.Clone(s.lab.st.Cuts[s.Name()])
}

func (s *Segment) setCuts(ctx context.Context, cuts []Cut) error {
	for _, c := range cuts {
		for _, name := range []string{c.From, c.To} {
			if name != "" && !s.has(name) {
				return fmt.Errorf("segment %s: cut off %q: %w %s, or it has no NIC there", s.Name(), name, ErrUnknown, s.lab.Name())
			}
		}
	}
	sw, err := s.lab.fabric(s.Name())
	if err != nil {
		return err
	}
	kind := "fault"
	if len(cuts) == 0 {
		kind = "heal"
	}
	if err := s.lab.rec.Note(record.Event{Time: now(), Kind: kind, Note: fmt.Sprintf("segment %s: cuts %v", s.Name(), cuts)}); err != nil {
		return err
	}
	if err := s.lab.change(func(st *state) { st.Cuts[s.Name()] = cuts }); err != nil {
		return err
	}
	return sw.SetCuts(ctx, s.Name(), cuts)
}

// has reports whether a machine has a NIC on the segment.
func (s *Segment) has(name string) bool {
	p := s.lab.st.Plan
	for _, m := range slices.Concat(p.Nodes, p.ACs, p.DHCP, s.lab.hosts()) {
		if m.Name == name && slices.ContainsFunc(m.Ports, func(q topology.Port) bool { return q.Segment == s.Name() }) {
			return true
		}
	}
	return false
}
