package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
)

// dhcpJob is dnsmasq among the processes of a DHCP server.
const dhcpJob = "dnsmasq"

// Segment is a layer 2 network of the lab.
type Segment struct {
	lab  *Lab
	plan topology.Segment
}

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

// has reports whether a machine has a NIC on the segment.
func (s *Segment) has(name string) bool {
	p := s.lab.st.Plan
	for _, m := range slices.Concat(s.lab.nodes(), p.ACs, p.DHCP, s.lab.hosts()) {
		if m.Name == name && slices.ContainsFunc(m.Ports, func(q topology.Port) bool { return q.Segment == s.Name() }) {
			return true
		}
	}
	return false
}
