package boot

import (
	"net/netip"
	"slices"
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/nettoml"
)

// port is what the machine knows of one interface and has on it, in layers:
//
//	configured   addresses of net.toml, each one probed before it is used
//	dhcp         a lease, its address probed before it is used
//	fallback     10.254.254.X, claimed
//
// The layers add up; what is on the interface follows from them alone.
type port struct {
	link     network.Link
	declared nettoml.Interface
	listed   bool // net.toml has a section for it

	configured []*holding
	lessee     *lessee
	fallback   *fallback

	// What was last asked of the shell, and whether it is in force.
	asked     network.Wanted
	applyID   int
	appliedID int
	applyErr  string
	listening Listen
	leftover  bool // something of an earlier g8os_core is on it, and nothing of ours was applied yet

	declares int    // how often net.toml's section was taken
	laid     layers // from which asked and listening follow
	amount   amount // of the layers as they are
}

// newPort makes the port of an interface that was not there before. Only what
// is there from the start can have something of an earlier g8os_core on it: a
// card that comes later is another one, also under the same name.
func (m *Machine) newPort(l network.Link) *port {
	p := &port{link: l, listening: Listen{Interface: l.Name}}
	p.leftover = m.ports == nil && slices.Contains(m.cfg.Touched, l.Name)
	p.declare(m, m.file)
	return p
}

// untouchable says that net.toml wants this interface left alone (trap T2).
func (p *port) untouchable() bool { return p.listed && p.declared.Method == nettoml.None }

// eligible says that DHCP and fallback may be tried here at all.
func (p *port) eligible() bool { return p.ours() && p.link.Carrier }

// declare takes the interface's section of net.toml. Addresses that are no
// longer in it are dropped; those that stay keep their claim.
func (p *port) declare(m *Machine, file nettoml.Config) {
	p.declared, p.listed = nettoml.Interface{}, false
	p.declares++
	for _, i := range file.Interfaces {
		if i.Name == p.link.Name {
			p.declared, p.listed = i, true
		}
	}
	if p.untouchable() || p.declared.Method != nettoml.DHCP {
		if p.lessee != nil && p.lessee.declared {
			p.endLease(m)
		}
	}
	if p.untouchable() {
		p.endLease(m)
		p.endFallback()
	}
	p.configured = slices.DeleteFunc(p.configured, func(h *holding) bool {
		return p.declared.Method != nettoml.Static || !slices.Contains(p.declared.Addresses, h.prefix)
	})
}

// linkChanged takes the interface's present state. When the carrier returns,
// nothing that was known about the segment holds any more (trap T7): leases
// are verified and addresses probed anew.
func (p *port) linkChanged(m *Machine, l network.Link) {
	returned := l.Carrier && !p.link.Carrier
	p.link = l
	if returned {
		p.carrierReturned(m)
	}
	p.putBack(m)
}

// putBack asks again for what somebody took off the interface behind our back.
func (p *port) putBack(m *Machine) {
	if p.appliedID != p.applyID || p.applyErr != "" {
		return
	}
	if p.asked.Up && !p.link.Up {
		p.ask(m, p.asked)
		return
	}
	for _, a := range p.asked.Addresses {
		if !slices.Contains(p.link.Addresses, a) {
			p.ask(m, p.asked)
			return
		}
	}
}

func (p *port) carrierReturned(m *Machine) {
	if p.lessee != nil {
		p.leaseEffects(m, p.lessee.client.LinkFlapped(m.now))
	}
	for _, h := range p.configured {
		if h.machine != nil && h.state != holdTaken {
			h.probe(m, p)
		}
	}
	p.recheckFallback(m)
	if s := m.search; s != nil && s.state == searchResting {
		s.deadline = m.now
	} else if m.search == nil && m.climb == climbManaged && m.path.Interface != p.link.Name {
		m.betterAt = m.now
	}
}

// tick gives the machines on the port their time.
func (p *port) tick(m *Machine) {
	for _, h := range p.configured {
		h.tick(m, p)
	}
	if l := p.lessee; l != nil {
		l.tick(m, p)
	}
	if f := p.fallback; f != nil {
		f.tick(m, p)
	}
}

func (p *port) next() time.Time {
	var next time.Time
	for _, h := range p.configured {
		next = earlier(next, h.next())
	}
	if p.lessee != nil {
		next = earlier(next, p.lessee.next())
	}
	if p.fallback != nil {
		next = earlier(next, p.fallback.next())
	}
	return next
}

// ours says that the interface may be used at all.
func (p *port) ours() bool { return !p.untouchable() && (p.link.Physical || p.listed) }

func (p *port) ask(m *Machine, w network.Wanted) {
	p.asked, p.applyID, p.applyErr, p.leftover = w, m.newID(), "", false
	m.emit(Apply{ID: p.applyID, Interface: p.link.Name, Wanted: w})
}

// settled says that what the layers amount to is in force.
func (p *port) settled() bool {
	return p.leftover || p.asked.Equal(p.wanted()) && p.appliedID == p.applyID
}

func (m *Machine) applied(e Applied) {
	p := m.port(e.Interface)
	if p == nil || e.ID != p.applyID {
		return
	}
	p.appliedID, p.applyErr = e.ID, e.Err
	if e.Err != "" {
		m.fail("%s", e.Err)
	}
}

// paths returns the ways out through this port as it is now, best first.
func (p *port) paths(controllers []string, fallback string) []Path {
	if p.untouchable() || !p.link.Carrier || !p.settled() {
		return nil
	}
	var out []Path
	add := func(way Way, from netip.Prefix, dns []netip.Addr, to ...string) {
		for _, c := range to {
			out = append(out, Path{Controller: c, Interface: p.link.Name, Address: from, Way: way, DNS: dns})
		}
	}
	for _, h := range p.configured {
		if h.held() {
			add(WayConfigured, h.prefix, p.declared.DNS, controllers...)
		}
	}
	if l := p.lessee; l != nil && l.state == lesseeBound {
		add(WayDHCP, l.lease.Address, l.lease.DNS, controllers...)
	}
	if f := p.fallback; f != nil && f.held() {
		add(WayFallback, f.prefix(), nil, fallback)
	}
	return out
}
