package ether

import (
	"net/netip"
	"time"
)

// Dial connects from an address of the NIC to an address on its segment, and
// calls done once with the end or the reason. It goes on trying as long as
// the caller does not cancel.
func (x *NIC) Dial(from, to netip.Addr, done func(*End, error)) (cancel func()) {
	d := &dial{nic: x, from: from, to: to, done: done, since: x.Host.net.e.Now()}
	d.attempt(synAgain)
	return func() { d.over = true }
}

type dial struct {
	nic      *NIC
	from, to netip.Addr
	done     func(*End, error)
	since    time.Duration
	over     bool
}

func (d *dial) end(e *End, err error) {
	if d.over {
		if e != nil {
			e.Abort()
		}
		return
	}
	d.over = true
	d.done(e, err)
}

// attempt sends a SYN to whoever took the address last.
func (d *dial) attempt(again time.Duration) {
	if d.over {
		return
	}
	n := d.nic.Host.net
	holders := d.nic.segment.holders[d.to]
	onLink := d.nic.onLink(d.from, d.to)
	if (len(holders) == 0 || !onLink) && n.e.Now()-d.since >= unreachable {
		d.end(nil, ErrUnreachable)
		return
	}
	if len(holders) > 0 && onLink {
		target := holders[len(holders)-1]
		n.send(d.nic, target, arpSize, whole(func() { d.arrived(target) }))
	}
	n.e.After(again, func() { d.attempt(2 * again) })
}

func (d *dial) arrived(target *NIC) {
	n := d.nic.Host.net
	if d.over || !target.Has(d.to) {
		return
	}
	accept := target.Host.accept
	n.send(target, d.nic, arpSize, whole(func() {
		switch {
		case d.over:
		case accept == nil || target.Host.accept == nil:
			d.end(nil, ErrRefused)
		default:
			mine, theirs := &End{NIC: d.nic, Addr: d.from}, &End{NIC: target, Addr: d.to}
			mine.peer, theirs.peer = theirs, mine
			mine.register()
			theirs.register()
			target.Host.accept(theirs)
			d.end(mine, nil)
		}
	}))
}
