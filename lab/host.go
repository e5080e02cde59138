package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
)

// Host is another machine on a segment: a stranger, a squatter, a DHCP server
// with bad intentions. It sees the host's files and a network of its own.
type Host struct {
	lab  *Lab
	plan topology.Machine
}

// AddHost puts a host on the segment, its NIC eth0 up with the addresses
// (ADDRESS/LENGTH). It lives until Remove or Down.
func (s *Segment) AddHost(ctx context.Context, name string, addresses ...string) (*Host, error) {
	l := s.lab
	if slices.Contains(l.Hosts(), name) || l.isNode(name) {
		return nil, fmt.Errorf("host %s: lab %s has a machine of that name", name, l.Name())
	}
	port := topology.Port{NIC: "eth0", Segment: s.Name(), MAC: topology.MAC(l.Name(), "host/"+name, 0)}
	m := topology.Machine{Name: name, Ports: []topology.Port{port}}
	if err := l.change(func(st *state) { st.Hosts = append(st.Hosts, m) }); err != nil {
		return nil, err
	}
	if err := l.power(ctx, []topology.Machine{m}); err != nil {
		return nil, err
	}
	h := &Host{lab: l, plan: m}
	for _, a := range addresses {
		if _, err := netip.ParsePrefix(a); err != nil {
			return nil, fmt.Errorf("host %s: address: %w", name, err)
		}
		r, err := h.Exec(ctx, "ip", "address", "add", a, "dev", "eth0")
		if err != nil {
			return nil, err
		}
		if r.Code != 0 {
			return nil, fmt.Errorf("host %s: address %s: %s", name, a, strings.TrimSpace(r.Stderr))
		}
	}
	return h, nil
}

// Name of the host.
func (h *Host) Name() string { return h.plan.Name }

// MAC of its NIC.
func (h *Host) MAC() string { return h.plan.Ports[0].MAC }

// Exec runs a command in the host's network and waits for it.
func (h *Host) Exec(ctx context.Context, argv ...string) (Result, error) {
	return run(ctx, argv, func(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
		m, err := h.lab.machine(h.Name())
		if err != nil {
			return nil, err
		}
		return m.EnterNet(argv, prepare)
	})
}

// Process is something that goes on running in a host.
type Process struct {
	host *Host
	name string
}

// Start runs a command in the host until it ends, Signal ends it, or the host
// goes. job names it; its output is in LogPath. The host's PID 1 owns it, so
// it outlives the caller and not the lab.
func (h *Host) Start(ctx context.Context, job string, argv ...string) (*Process, error) {
	m, err := h.lab.machine(h.Name())
	if err != nil {
		return nil, err
	}
	p := &Process{host: h, name: job}
	if err := m.Start(ctx, machine.Job{Name: job, Argv: argv, Log: p.logName()}); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Process) logName() string { return p.host.Name() + "." + p.name + ".log" }

// LogPath has what the process writes to stdout and stderr.
func (p *Process) LogPath() string { return filepath.Join(p.host.lab.LogDir(), p.logName()) }

// Signal sends a signal to the process.
func (p *Process) Signal(ctx context.Context, sig syscall.Signal) error {
	m, err := p.host.lab.machine(p.host.Name())
	if err != nil {
		return err
	}
	return m.Signal(ctx, p.name, sig)
}

// Wait returns the exit code once the process has ended.
func (p *Process) Wait(ctx context.Context) (int, error) {
	m, err := p.host.lab.machine(p.host.Name())
	if err != nil {
		return 0, err
	}
	st, err := m.Wait(ctx, p.name)
	return st.Code, err
}

// Remove takes the host off its segment with all its processes.
func (h *Host) Remove(ctx context.Context) error {
	if m, err := h.lab.machine(h.Name()); err == nil {
		if err := m.PowerOff(ctx); err != nil {
			return err
		}
	}
	sw, err := h.lab.fabric(h.plan.Ports[0].Segment)
	if err != nil {
		return err
	}
	if err := sw.Disconnect(ctx, ports(h.plan)); err != nil {
		return err
	}
	return h.lab.change(func(st *state) {
		st.Hosts = slices.DeleteFunc(st.Hosts, func(m topology.Machine) bool { return m.Name == h.Name() })
	})
}
