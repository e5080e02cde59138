package boot

import (
	"net/netip"
	"slices"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/nettoml"
)

// layers is all that decides what is wanted on a port. Most events change none
// of it: then nothing is made of it again.
type layers struct {
	physical, served bool
	declares         int
	configured       []layer
	lessee           *lessee
	state            lesseeState
	leases           int
	guarded          bool
	claiming, turn   bool
	address          netip.Addr
}

// layer is a holding, as far as what is wanted follows from it.
type layer struct {
	prefix  netip.Prefix
	state   holdState
	watched bool
}

func (h *holding) layer() layer { return layer{h.prefix, h.state, h.machine != nil} }

// same says whether the layers of a port are still these.
func (l *layers) same(p *port) bool {
	now := p.upper()
	return l.physical == now.physical && l.served == now.served && l.declares == now.declares &&
		l.lessee == now.lessee && l.state == now.state && l.leases == now.leases && l.guarded == now.guarded &&
		l.claiming == now.claiming && l.turn == now.turn && l.address == now.address &&
		slices.EqualFunc(l.configured, p.configured, func(a layer, h *holding) bool { return a == h.layer() })
}

// layers are those of the port as it is. They are never empty: 0 declares.
func (p *port) layers() layers {
	l := p.upper()
	for _, h := range p.configured {
		l.configured = append(l.configured, h.layer())
	}
	return l
}

// upper is the layers without the static addresses.
func (p *port) upper() layers {
	l := layers{physical: p.link.Physical, served: p.served(), declares: p.declares, lessee: p.lessee}
	if p.lessee != nil {
		l.state, l.leases, l.guarded = p.lessee.state, p.lessee.leases, p.lessee.guard != nil
	}
	if f := p.fallback; f != nil {
		l.claiming, l.turn, l.address = true, f.turn, f.address
	}
	return l
}

// amount is what the layers of a port amount to.
type amount struct {
	of      layers
	wanted  network.Wanted
	sockets Listen
}

// amounts is what the port's layers amount to now.
func (p *port) amounts() *amount {
	if !p.amount.of.same(p) {
		p.amount = amount{p.layers(), p.merged(), p.neededSockets()}
	}
	return &p.amount
}

// wanted is what is to be on the interface. It is not to be changed.
func (p *port) wanted() network.Wanted { return p.amounts().wanted }

// layPorts asks the shell for whatever the layers now amount to. Sockets open
// before what is to be sent through them, and close after it.
func (m *Machine) layPorts() {
	if !m.known {
		return // net.toml may want an interface left alone
	}
	for _, p := range m.ports {
		if p.laid.same(p) {
			continue
		}
		p.laid = p.layers()
		p.lay(m)
	}
}

// served says that what was there before serves until there is something
// better. What is down serves nothing: the card may be another one by now.
func (p *port) served() bool { return p.leftover && p.link.Up }

func (p *port) lay(m *Machine) {
	want := p.amounts().sockets
	both := Listen{p.link.Name, want.ARP, want.DHCP || p.listening.DHCP}
	if len(both.ARP) == 0 {
		both.ARP = p.listening.ARP
	}
	if !both.equal(p.listening) {
		m.out = append([]Effect{both}, m.out...)
	}
	if !want.equal(both) {
		m.emit(want)
	}
	p.listening = want
	w := p.wanted()
	if p.served() && len(w.Addresses) == 0 && w.Up {
		return
	}
	if !w.Equal(p.asked) {
		p.ask(m, w)
	}
}

func (l Listen) equal(o Listen) bool {
	return l.Interface == o.Interface && l.DHCP == o.DHCP && slices.Equal(l.ARP, o.ARP)
}

// merged lays the layers over one another. Every interface that may be used is
// up from the start: without that it shows no carrier.
func (p *port) merged() network.Wanted {
	if !p.ours() {
		return network.Wanted{}
	}
	layers := []network.Wanted{{Up: true, MTU: p.declared.MTU}}
	if p.listed && p.declared.Method == nettoml.Static {
		layers = append(layers, p.declaredWanted())
	}
	if p.lessee != nil && p.lessee.state == lesseeBound {
		layers = append(layers, p.lessee.wanted())
	}
	if p.fallback != nil && p.fallback.held() {
		layers = append(layers, p.fallback.wanted())
	}
	return network.Merge(layers...)
}

// declaredWanted is the static layer, without the addresses that are not, or
// not yet, ours to use, and without the routes that hang on them.
func (p *port) declaredWanted() network.Wanted {
	w := p.declared.Want()
	held := func(a netip.Prefix) bool {
		return slices.ContainsFunc(p.configured, func(h *holding) bool { return h.prefix == a && h.held() })
	}
	w.Addresses = slices.DeleteFunc(slices.Clone(w.Addresses), func(a netip.Prefix) bool { return !held(a) })
	w.Routes = slices.DeleteFunc(slices.Clone(w.Routes), func(r network.Route) bool {
		return r.Via.IsValid() && !slices.ContainsFunc(w.Addresses, func(a netip.Prefix) bool { return a.Contains(r.Via) })
	})
	if len(w.Addresses) == 0 {
		w.DNS = nil
	}
	return w
}

// neededSockets are those that the layers hear through.
func (p *port) neededSockets() Listen {
	l := Listen{Interface: p.link.Name, DHCP: p.lessee != nil}
	one := func(a netip.Addr) { l.ARP = append(l.ARP, netip.PrefixFrom(a, a.BitLen())) }
	for _, h := range p.configured {
		if h.machine != nil {
			one(h.prefix.Addr())
		}
	}
	if p.lessee != nil && p.lessee.guard != nil {
		one(p.lessee.lease.Address.Addr())
	}
	if f := p.fallback; f != nil && f.address.IsValid() {
		one(f.address)
	} else if f != nil {
		l.ARP = append(l.ARP, fallbackNet)
	}
	return l
}
