package boot

import (
	"net/netip"
	"slices"
	"time"

	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/nettoml"
)

// holdState is where a static address stands.
type holdState int

const (
	holdWaiting holdState = iota // for the interface and its carrier
	holdProbing                  // is it free?
	holdOurs
	holdTaken // by somebody else; asked again in the next round
)

// holding is one address of net.toml on one interface. An operator's mistake
// must not cost another machine its address, so it is probed first (RFC 5227).
type holding struct {
	prefix  netip.Prefix
	state   holdState
	by      string            // MAC of whoever has it
	machine *conflict.Machine // nil for IPv6, where the kernel looks for duplicates (RFC 4862)
}

func (h *holding) held() bool { return h.state == holdOurs }

func (h *holding) next() time.Time {
	if h.machine == nil {
		return time.Time{}
	}
	return h.machine.Next()
}

// holdDeclared begins with every declared static address that is not ours
// yet.
func (p *port) holdDeclared(m *Machine) {
	if !p.listed || p.declared.Method != nettoml.Static {
		return
	}
	for _, a := range p.declared.Addresses {
		i := slices.IndexFunc(p.configured, func(h *holding) bool { return h.prefix == a })
		if i < 0 {
			p.configured = append(p.configured, &holding{prefix: a})
			i = len(p.configured) - 1
		}
		if h := p.configured[i]; h.state == holdTaken || h.state == holdWaiting {
			h.begin(m, p)
		}
	}
}

func (h *holding) begin(m *Machine, p *port) {
	switch {
	case !p.link.Carrier:
		h.state = holdWaiting
	case !h.prefix.Addr().Is4():
		h.state = holdOurs
	case p.leftover && slices.Contains(p.link.Addresses, h.prefix):
		h.state = holdOurs // since before g8os_core was started again; asked about all the same
		h.probe(m, p)
	default:
		h.state = holdProbing
		h.probe(m, p)
	}
}

// probe asks for the address. One that is in use here stays in use meanwhile.
func (h *holding) probe(m *Machine, p *port) {
	h.machine = conflict.New(conflict.Config{
		MAC: p.link.MAC, Own: m.macs(), Address: h.prefix.Addr(), Seed: m.cfg.Seed, Timing: conflict.Quick(),
	})
	h.effects(m, p, h.machine.Start(m.now))
}

func (h *holding) tick(m *Machine, p *port) {
	if h.state == holdWaiting && p.link.Carrier {
		h.begin(m, p)
	}
	if h.machine != nil {
		h.effects(m, p, h.machine.Tick(m.now))
	}
}

func (h *holding) effects(m *Machine, p *port, effects []conflict.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case conflict.Send:
			m.emit(SendARP{p.link.Name, e.Packet})
		case conflict.Claimed:
			h.state, h.by = holdOurs, ""
		case conflict.Conflict:
			if e.While == conflict.Probing { // past it, Lost follows
				h.taken(m, p, e.By)
			}
		case conflict.Lost:
			h.taken(m, p, e.By)
		}
	}
}

func (h *holding) taken(m *Machine, p *port, by string) {
	h.state, h.by, h.machine = holdTaken, by, nil
	m.fail("%s", h.warning(p))
}

func (h *holding) warning(p *port) string {
	return h.prefix.Addr().String() + " of net.toml is not taken on " + p.link.Name + ": " + h.by +
		" uses it; give one of the two another address"
}

// holdingsSettled says that every static address is in force or known not to
// be; one without a carrier is not waited for.
func (p *port) holdingsSettled() bool {
	for _, h := range p.configured {
		if h.state == holdProbing {
			return false
		}
	}
	return p.settled()
}
