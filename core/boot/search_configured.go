package boot

import (
	"slices"
	"time"

	"github.com/g8os/g8os/core/network/nettoml"
)

// reading waits for net.toml. A disk that does not answer stops nothing: the
// last one that was read still counts.
// Leads to: configuring.
func (m *Machine) reading() searchState {
	s := m.search
	if !s.read && !m.reached(s.deadline) {
		return searchReading
	}
	m.known = true
	m.beginConfigured()
	return m.enter(searchConfiguring, m.cfg.Timing.ApplyWait)
}

// beginConfigured puts net.toml into force: virtual interfaces are made,
// static addresses probed, and every declared DHCP client started, all at
// once.
func (m *Machine) beginConfigured() {
	for _, i := range m.file.InOrder() {
		if i.Kind != nettoml.Physical {
			m.ensuring = append(m.ensuring, i.Name)
			m.made = addName(m.made, i.Name)
			m.emit(Ensure{i})
		}
	}
	for _, p := range m.ports {
		p.holdDeclared(m)
		if p.listed && p.declared.Method == nettoml.DHCP && p.link.Carrier {
			p.startLease(m, true)
		}
	}
}

// configuring waits until the virtual interfaces are made, and the static
// addresses are in force or known to be taken.
// Leads to: configured.
func (m *Machine) configuring() searchState {
	if len(m.ensuring) > 0 && !m.reached(m.search.deadline) {
		return searchConfiguring
	}
	m.ensuring = nil
	if m.round == 1 && !m.anyCarrier() && m.now.Sub(m.search.entered) < m.cfg.Timing.CarrierWait {
		m.search.deadline = m.search.entered.Add(m.cfg.Timing.CarrierWait)
		return searchConfiguring
	}
	for _, p := range m.ports {
		if !p.holdingsSettled() && !m.reached(m.search.deadline) {
			return searchConfiguring
		}
	}
	m.tryAll(m.standing())
	return m.enter(searchConfigured, m.within(m.cfg.Timing.TryTimeout)+time.Second)
}

// anyCarrier says whether an interface that may be used has a carrier.
func (m *Machine) anyCarrier() bool {
	return slices.ContainsFunc(m.ports, (*port).eligible)
}

// triedConfigured waits for the controllers, asked in parallel over all that
// is configured and over what earlier rounds have left in force.
// Leads to: ended, next.
func (m *Machine) triedConfigured() searchState {
	switch done, found := m.triesDone(); {
	case found:
		return searchEnded
	case !done:
		return searchConfigured
	}
	m.queueStops()
	return searchNext
}

// queueStops lists the interfaces to try one at a time: DHCP on each, then
// fallback on each; carrier is a condition, declared interfaces come first. A
// grid without controllers in net.toml is found by fallback only, so DHCP is
// not asked for nothing.
func (m *Machine) queueStops() {
	m.search.queued = []stop{}
	for _, first := range []bool{true, false} {
		for _, p := range m.ports {
			if (p.listed && p.declared.Method == nettoml.DHCP) == first {
				m.queueStop(p)
			}
		}
	}
}

// queueStop lines an interface up for its turns in this round.
func (m *Machine) queueStop(p *port) {
	s := m.search
	if !p.eligible() {
		return
	}
	for _, way := range []Way{WayDHCP, WayFallback} {
		next := stop{p.link.Name, way}
		if !m.worthTrying(way) || way == WayDHCP && len(m.file.Controllers) == 0 || slices.Contains(s.queued, next) {
			continue
		}
		s.queued = append(s.queued, next)
		at := slices.IndexFunc(s.queue, func(x stop) bool { return x.way.rank() < way.rank() })
		if at < 0 {
			at = len(s.queue)
		}
		s.queue = slices.Insert(s.queue, at, next)
	}
}

// queueLate gives its turns in this round to an interface whose carrier came
// after the others were lined up: a card takes its time when it is set up. One
// that flaps gets no second turn, so that it cannot keep others from theirs.
func (m *Machine) queueLate() {
	s := m.search
	if s == nil || s.queued == nil {
		return
	}
	for _, p := range m.ports {
		m.queueStop(p)
	}
	if s.state == searchClaiming || s.state == searchClaimed {
		m.probeAhead()
	}
}

// worthTrying says whether a way would be an improvement.
func (m *Machine) worthTrying(w Way) bool {
	return !m.search.background || w.rank() > m.path.Way.rank()
}

func addName(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
