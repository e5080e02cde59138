package boot

import (
	"slices"
	"time"

	"github.com/g8os/g8os/core/network/nettoml"
)

// nextStop turns to the next interface, after giving the last one back.
// Leads to: leasing, claiming, resting.
func (m *Machine) nextStop() searchState {
	s := m.search
	m.leaveStop()
	for len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		p := m.port(next.port)
		if p == nil || !p.eligible() {
			continue
		}
		s.at = p
		if next.way == WayFallback {
			p.startFallback(m)
			p.fallback.turn = true
			m.probeAhead()
			return m.enter(searchClaiming, m.cfg.Timing.ClaimWait)
		}
		p.startLease(m, p.listed && p.declared.Method == nettoml.DHCP)
		if !s.asking {
			s.asking = true
			s.leaseTurn++
		}
		return m.enter(searchLeasing, max(0, m.leaseWait()-m.now.Sub(p.lessee.since)))
	}
	m.dropIdleClaims()
	return m.enter(searchResting, backoff(m.cfg.Timing.RestMin, m.cfg.Timing.RestMax, s.attempt-1, m.cfg.Seed))
}

// probeAhead lets the interfaces whose turn comes later look for an address
// already, so that a second one does not cost another 7 s.
func (m *Machine) probeAhead() {
	for _, next := range m.search.queue {
		if p := m.port(next.port); next.way == WayFallback && p != nil && p.eligible() {
			p.startFallback(m)
		}
	}
}

// dropIdleClaims ends the claims that ran ahead of a turn which did not come.
func (m *Machine) dropIdleClaims() {
	for _, p := range m.ports {
		if p.fallback != nil && !p.fallback.turn {
			p.endFallback()
		}
	}
}

// leaveStop gives the interface that was tried back as it was. What net.toml
// declares stays, and so does what once led to an AC: an AC that is away for a
// minute does not cost the node its address.
func (m *Machine) leaveStop() {
	p := m.search.at
	m.search.at = nil
	m.search.tries = nil
	if p == nil {
		return
	}
	if p.lessee != nil && !p.lessee.keep() {
		p.endLease(m)
	}
	if p.fallback != nil && !p.fallback.proven && p.fallback.allTaken == 0 {
		p.endFallback() // one that waits for an address to become free goes on asking
	}
}

// leaseWait is what DHCP gets in this round on one interface.
func (m *Machine) leaseWait() time.Duration {
	t, n := m.cfg.Timing, m.search.leaseTurn
	if m.search.background {
		n += 2 // nothing is held up by waiting for a slow server here
	}
	d := t.LeaseWait
	for range n - 1 {
		d = min(2*d, t.LeaseWaitMax)
	}
	return d
}

// stands says that an interface is still the card that it was when its turn
// came, and has a carrier.
func (m *Machine) stands(p *port) bool { return slices.Contains(m.ports, p) && p.eligible() }

// leasing waits for a lease on one interface whose address nobody else uses.
// Leads to: leased, next.
func (m *Machine) leasing() searchState {
	s := m.search
	p := s.at
	switch {
	case !m.stands(p) || p.lessee == nil:
		return searchNext
	case p.lessee.state == lesseeBound && p.settled() && p.applyErr == "":
		m.tryAll(m.fromStop(p, WayDHCP))
		return m.enter(searchLeased, m.within(m.cfg.Timing.TryTimeout)+time.Second)
	case m.reached(s.deadline):
		m.fail("no lease on %s within %s", p.link.Name, m.leaseWait())
		return searchNext
	}
	return searchLeasing
}

// triedLease waits for the controllers over the lease.
// Leads to: ended, next.
func (m *Machine) triedLease() searchState { return m.afterTries(searchLeased) }

// claiming waits for a fallback address.
// Leads to: claimed, next.
func (m *Machine) claiming() searchState {
	s := m.search
	p := s.at
	switch {
	case !m.stands(p) || p.fallback == nil:
		return searchNext
	case p.fallback.held() && p.settled() && p.applyErr == "":
		m.tryAll(m.fromStop(p, WayFallback))
		return m.enter(searchClaimed, m.within(m.cfg.Timing.TryTimeout)+time.Second)
	case m.reached(s.deadline):
		return searchNext
	}
	return searchClaiming
}

// triedClaim waits for the AC at 10.254.254.254.
// Leads to: ended, next.
func (m *Machine) triedClaim() searchState { return m.afterTries(searchClaimed) }

func (m *Machine) afterTries(here searchState) searchState {
	switch done, found := m.triesDone(); {
	case found:
		return searchEnded
	case done:
		return searchNext
	}
	return here
}
