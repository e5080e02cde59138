package boot

import (
	"time"

	"github.com/g8os/g8os/internal/planted"
)

// connected takes the answer to Connect: the first session, one over a better
// way, or one with a new certificate.
// Connecting leads to: managed, unlocking, seeking.
func (m *Machine) connected(e Connected) {
	if m.climb == climbManaged && m.crossing != nil && e.ID == m.op {
		m.crossed(e)
		return
	}
	if !m.answers(climbConnecting, e.ID, e.Failure) {
		return
	}
	id := m.op
	m.goTo(climbManaged)
	m.session, m.managedAt = id, m.now
	if m.managedAfter == 0 {
		m.managedAfter = m.now.Sub(m.started)
	}
	m.settleOn(m.path)
	m.looked = 0
	m.scheduleBetter()
}

// settleOn notes that a path led to an AC: what it stands on is kept when the
// AC is away, and the layers of lesser ways are given back.
func (m *Machine) settleOn(path Path) {
	m.path = path
	for _, p := range m.ports {
		here := p.link.Name == path.Interface
		if p.lessee != nil {
			p.lessee.proven = path.Way == WayDHCP && here
			if !p.lessee.keep() {
				p.endLease(m)
			}
		}
		if p.fallback == nil {
			continue
		}
		p.fallback.proven = path.Way == WayFallback && here
		if !p.fallback.proven {
			p.endFallback()
		}
	}
	for _, p := range m.ports {
		if p.leftover {
			p.ask(m, p.wanted()) // what an earlier g8os_core had put here is not needed any more
		}
	}
	if path.Way == WayFallback {
		m.cfg.LastFallback = path.Address.Addr()
		m.emit(Remember{path.Address.Addr()})
	}
}

// crossed takes the answer to the Connect over another path or with another
// certificate. The old session ends only when the new one stands, so that
// nothing is lost between them.
func (m *Machine) crossed(e Connected) {
	path, old := *m.crossing, m.leaving
	m.op, m.due, m.crossing, m.leaving = 0, time.Time{}, nil, 0
	if e.Kind != OK {
		m.fail("%s", e.Err)
		m.settleOn(m.path) // gives back what the better way had put up
		m.scheduleBetter()
		if e.Kind == Distrusted {
			m.renewSoon(path)
		}
		return
	}
	m.session = e.ID
	if old != 0 {
		m.emit(Disconnect{old})
	}
	stays := path.Controller == m.path.Controller && path.Address == m.path.Address && path.Way == m.path.Way
	m.settleOn(path)
	if !stays || m.betterAt.IsZero() { // another certificate puts off no look for a better way
		m.scheduleBetter()
	}
}

// renewSoon has a certificate replaced with which no session was to be had over
// a path, although the one that stands is still good: at once, so that the
// better way is open the next time; after a pause if it is a new one already.
func (m *Machine) renewSoon(refused Path) {
	m.renewAt = m.now
	if refused.Controller == m.path.Controller && refused.Address == m.path.Address {
		m.renewAt = m.now.Add(m.cfg.Timing.RetryMax)
	}
}

// managed keeps the certificate fresh, and looks out for an effect that does
// not answer.
// Leads to: connecting.
func (m *Machine) managed() {
	switch {
	case m.session == 0 && m.crossing == nil:
		m.goTo(climbConnecting)
	case m.op != 0 && m.reached(m.due):
		if m.crossing != nil {
			m.emit(Disconnect{m.op})
			m.crossed(Connected{ID: m.op, Failure: Failure{Kind: Unreachable, Err: "no answer from " + m.crossing.Controller}})
			return
		}
		m.op, m.due = 0, time.Time{}
		m.renewAt = m.now.Add(m.cfg.Timing.RetryMax)
	case m.idle() && m.reached(m.renewAt):
		m.op = m.newID()
		m.due = m.now.Add(m.cfg.Timing.SecureWait + time.Second)
		m.emit(Secure{ID: m.op, Path: m.path, Renew: true, Timeout: m.cfg.Timing.SecureWait})
	}
}

// renewed takes the answer to a renewal: with a new certificate goes a new
// session.
func (m *Machine) renewed(e Secured) {
	m.op, m.due = 0, time.Time{}
	if e.Kind != OK {
		m.fail("renewing the client certificate: %s", e.Err)
		m.renewAt = m.now.Add(m.cfg.Timing.RetryMax)
		return
	}
	m.renewAt = e.RenewAt
	m.foundPath(m.path, true)
}

// disconnected takes the end of a session. A session that ends while another
// one replaces it changes nothing.
func (m *Machine) disconnected(e Disconnected) {
	if e.ID == m.leaving {
		m.leaving, m.session = 0, 0
	}
	if e.ID != m.session && m.session != 0 || m.climb != climbManaged {
		return
	}
	m.session = 0
	if m.crossing != nil {
		return // its answer decides
	}
	m.dropSession()
	m.goTo(climbConnecting)
	m.retry(e.Failure)
	if again := m.now.Add(m.climbPause(m.climbs - 1)); again.After(m.due) {
		m.due = again
	}
	m.climbs++
	if e.Kind == Distrusted {
		m.proveAgain()
	}
}

// watchCarrier gives the session up when the interface in use has been without
// carrier for longer than a flap: TCP would take minutes to notice.
func (m *Machine) watchCarrier() {
	p := m.port(m.path.Interface)
	if m.climb != climbManaged || (p != nil && p.link.Carrier && p.hasAddress(m.path)) {
		m.noCable = time.Time{}
		return
	}
	if m.noCable.IsZero() {
		m.noCable = m.now
	}
	if m.now.Sub(m.noCable) >= m.cfg.Timing.CarrierGrace {
		m.noCable = time.Time{}
		m.fail("%s has no carrier or has lost %s", m.path.Interface, m.path.Address)
		m.dropSession()
		m.seek()
	}
}

// hasAddress says whether the address of a path is still ours on this port.
func (p *port) hasAddress(path Path) bool {
	switch path.Way {
	case WayFallback:
		return p.fallback != nil && p.fallback.address == path.Address.Addr()
	case WayDHCP:
		return p.lessee != nil && p.lessee.state == lesseeBound && p.lessee.lease.Address == path.Address
	}
	for _, h := range p.configured {
		if h.prefix == path.Address {
			return h.held()
		}
	}
	return false
}

// scheduleBetter sets when to look for a better way than the present one: soon
// after the node came to it, then less and less often.
func (m *Machine) scheduleBetter() {
	m.betterAt = time.Time{}
	if m.climb != climbManaged || m.path.Way == WayConfigured || planted.Is(planted.FallbackKept) {
		m.looked = 0
		return
	}
	every := min(m.cfg.Timing.BetterFirst<<min(m.looked, 8), m.cfg.Timing.BetterEvery)
	m.looked++
	m.betterAt = m.now.Add(every - every/8 + time.Duration(mix(m.cfg.Seed, uint64(m.lastID))%uint64(every/4)))
}

// lookForBetter begins a round of the better ways when its time has come.
// Fallback is subordinate: the node stays on it no longer than it must.
func (m *Machine) lookForBetter() {
	if m.idle() && m.reached(m.betterAt) {
		m.betterAt = time.Time{}
		m.startSearch(true)
	}
}
