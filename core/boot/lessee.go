package boot

import (
	"net/netip"
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
)

// lesseeState is where a port stands with DHCP.
type lesseeState int

const (
	lesseeAsking lesseeState = iota
	lesseeProbing
	lesseeBound
)

// lessee is DHCP on one interface: a client, and the probe that says whether
// the address it was given is free.
type lessee struct {
	state    lesseeState
	client   *lease.Client
	guard    *conflict.Machine // of the leased address: probes, then defends
	lease    lease.Lease
	leases   int // how often it changed
	since    time.Time
	declared bool // net.toml wants DHCP here
	proven   bool // it once led to an AC
}

// leaseMetric is that of routes from DHCP: behind those of net.toml.
const leaseMetric = 1024

// keep says that the lease outlives a try that led nowhere.
func (l *lessee) keep() bool { return l.declared || l.proven }

func (l *lessee) next() time.Time {
	next := l.client.Next()
	if l.guard != nil {
		next = earlier(next, l.guard.Next())
	}
	return next
}

// wanted is the lease as a layer; an MTU that net.toml sets stands before it.
func (l *lessee) wanted() network.Wanted { return l.lease.Wanted(leaseMetric) }

// startLease begins to ask for a lease, if that is not under way.
func (p *port) startLease(m *Machine, declared bool) {
	if p.lessee != nil {
		p.lessee.declared = p.lessee.declared || declared
		return
	}
	l := &lessee{since: m.now, declared: declared}
	l.client = lease.New(lease.Config{
		MAC: p.link.MAC, Hostname: m.cfg.Hostname, Seed: mix(m.cfg.Seed, uint64(m.newID())), Timing: lease.RFC2131(),
	})
	p.lessee = l
	p.leaseEffects(m, l.client.Start(m.now))
}

// endLease gives the lease back and forgets it.
func (p *port) endLease(m *Machine) {
	if l := p.lessee; l != nil {
		p.leaseEffects(m, l.client.Release(m.now))
		p.lessee = nil
	}
}

func (l *lessee) tick(m *Machine, p *port) {
	p.leaseEffects(m, l.client.Tick(m.now))
	if l.guard != nil {
		p.guardEffects(m, l.guard.Tick(m.now))
	}
}

func (p *port) leaseEffects(m *Machine, effects []lease.Effect) {
	l := p.lessee
	for _, e := range effects {
		switch e := e.(type) {
		case lease.Send:
			m.emit(SendDHCP{p.link.Name, e})
		case lease.Acquired:
			l.lease, l.state = e.Lease, lesseeProbing
			l.leases++
			l.guard = conflict.New(conflict.Config{
				MAC: p.link.MAC, Own: m.macs(), Address: e.Lease.Address.Addr(), Seed: m.cfg.Seed, Timing: conflict.Quick(),
			})
			p.guardEffects(m, l.guard.Start(m.now))
		case lease.Renewed:
			l.lease = e.Lease
			l.leases++
		case lease.Lost:
			l.state, l.guard, l.lease = lesseeAsking, nil, lease.Lease{}
			l.leases++
			m.fail("lease of %s on %s is over: %s", e.Lease.Address, p.link.Name, e.Reason)
		}
	}
}

func (p *port) guardEffects(m *Machine, effects []conflict.Effect) {
	l := p.lessee
	for _, e := range effects {
		switch e := e.(type) {
		case conflict.Send:
			m.emit(SendARP{p.link.Name, e.Packet})
		case conflict.Claimed:
			l.state = lesseeBound
		case conflict.Conflict:
			if l.state == lesseeProbing {
				p.declineLease(m, e.Address, e.By)
			}
		case conflict.Lost:
			p.declineLease(m, e.Address, e.By)
		}
	}
}

// declineLease tells the server that somebody else has the address.
func (p *port) declineLease(m *Machine, a netip.Addr, by string) {
	p.leaseEffects(m, p.lessee.client.Decline(m.now))
	p.lessee.state, p.lessee.guard = lesseeAsking, nil
	m.fail("the DHCP server on %s offered %s, which %s uses: declined", p.link.Name, a, by)
}

func (m *Machine) heardDHCP(e HeardDHCP) {
	if p := m.port(e.Interface); p != nil && p.lessee != nil {
		p.leaseEffects(m, p.lessee.client.Heard(e.Message, m.now))
	}
}
