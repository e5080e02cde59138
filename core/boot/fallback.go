package boot

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/conflict"
)

// fallback is a claim to one of 10.254.254.1 to .253 on one interface.
type fallback struct {
	claim    *conflict.Claim
	recheck  *conflict.Machine // after the carrier was away: is the address still free here?
	address  netip.Addr        // zero while looking
	allTaken int               // how many addresses are taken, when all are
	proven   bool              // it once led to an AC
	turn     bool              // the interface's turn has come: the address may be used
}

// held says whether there is an address and it may be used.
func (f *fallback) held() bool { return f.turn && f.address.IsValid() }

// fallbackNet is where fallback addresses and the AC's are.
var fallbackNet = netip.MustParsePrefix("10.254.254.0/24")

func (f *fallback) prefix() netip.Prefix { return netip.PrefixFrom(f.address, fallbackNet.Bits()) }

func (f *fallback) wanted() network.Wanted {
	return network.Wanted{Up: true, Addresses: []netip.Prefix{f.prefix()}}
}

// startFallback begins to look for a fallback address, if none is held. It may
// run ahead of the interface's turn: to probe disturbs nobody, and it is what
// takes the time.
func (p *port) startFallback(m *Machine) {
	if p.fallback == nil {
		p.claimAnew(m, m.cfg.LastFallback)
	}
}

func (p *port) claimAnew(m *Machine, last netip.Addr) {
	var old fallback
	if p.fallback != nil {
		old = *p.fallback
	}
	p.fallback = &fallback{proven: old.proven, turn: old.turn, claim: conflict.NewClaim(conflict.ClaimConfig{
		MAC: p.link.MAC, Own: m.macs(), Last: last, Seed: m.cfg.Seed, Timing: conflict.RFC5227(),
	})}
	p.claimEffects(m, p.fallback.claim.Start(m.now))
}

func (p *port) endFallback() { p.fallback = nil }

// recheckFallback asks quickly whether a held address is still free after the
// carrier was away: this may be another segment now. The address stays in use
// meanwhile, so that a short flap does not cost the session.
func (p *port) recheckFallback(m *Machine) {
	f := p.fallback
	if f == nil || !f.address.IsValid() {
		return
	}
	f.recheck = conflict.New(conflict.Config{
		MAC: p.link.MAC, Own: m.macs(), Address: f.address, Seed: m.cfg.Seed, Timing: conflict.Quick(),
	})
	p.recheckEffects(m, f.recheck.Start(m.now))
}

func (p *port) recheckEffects(m *Machine, effects []conflict.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case conflict.Send:
			m.emit(SendARP{p.link.Name, e.Packet})
		case conflict.Claimed:
			p.fallback.recheck = nil // the claim itself goes on defending
		case conflict.Conflict:
			m.fail("fallback address %s on %s belongs to %s now: looking for another", e.Address, p.link.Name, e.By)
			p.claimAnew(m, netip.Addr{})
			return
		}
	}
}

func (f *fallback) next() time.Time {
	next := f.claim.Next()
	if f.recheck != nil {
		next = earlier(next, f.recheck.Next())
	}
	return next
}

func (f *fallback) tick(m *Machine, p *port) {
	p.claimEffects(m, f.claim.Tick(m.now))
	if f.recheck != nil {
		p.recheckEffects(m, f.recheck.Tick(m.now))
	}
}

func (p *port) claimEffects(m *Machine, effects []conflict.Effect) {
	f := p.fallback
	for _, e := range effects {
		switch e := e.(type) {
		case conflict.Send:
			m.emit(SendARP{p.link.Name, e.Packet})
		case conflict.Claimed:
			f.address, f.allTaken = e.Address, 0
			if s := m.search; s != nil && s.state == searchResting {
				s.deadline = m.now // an address has become free
			}
		case conflict.Lost:
			f.address = netip.Addr{}
			m.fail("fallback address %s on %s went to %s: looking for another", e.Address, p.link.Name, e.By)
		case conflict.AllTaken:
			f.allTaken = e.Count
			m.fail("all %d fallback addresses on %s are taken", e.Count, p.link.Name)
		}
	}
}

// claimWaits says in words what a claim waits for.
func (p *port) claimWaits() string {
	if f := p.fallback; f != nil && f.allTaken > 0 {
		return fmt.Sprintf("a fallback address on %s: all %d are taken", p.link.Name, f.allTaken)
	}
	return "a fallback address on " + p.link.Name + " that nobody else has"
}

// heardARP gives a packet to everything on the port that watches an address.
func (m *Machine) heardARP(e HeardARP) {
	p := m.port(e.Interface)
	if p == nil {
		return
	}
	for _, h := range p.configured {
		if h.machine != nil {
			h.effects(m, p, h.machine.Heard(e.Packet, m.now))
		}
	}
	if p.lessee != nil && p.lessee.guard != nil {
		p.guardEffects(m, p.lessee.guard.Heard(e.Packet, m.now))
	}
	if p.fallback != nil {
		p.claimEffects(m, p.fallback.claim.Heard(e.Packet, m.now))
		if f := p.fallback; f.recheck != nil {
			p.recheckEffects(m, f.recheck.Heard(e.Packet, m.now))
		}
	}
}
