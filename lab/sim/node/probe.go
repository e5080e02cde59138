package node

import (
	"net/netip"
	"slices"

	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
	"github.com/g8os/g8os/lab/sim/ether"
)

// What a node may come to: rare things that somebody who tests wants to know to
// have happened at all. Watcher.Reach is told of each.
const (
	LeaseRenewed    = "a lease renewed"
	LeaseRefused    = "a lease refused (NAK)"
	LeaseDeclined   = "a lease declined"
	AddressDefended = "an address defended"
	AddressGivenUp  = "an address given up"
	ProbesMet       = "a probed address that another has or wants"
	ClockRepaired   = "a clock repaired"
	JobAgain        = "a job handed out again"
	WayUp           = "a node that found a better way"
	WayDown         = "a node that fell back to a worse way"
)

// Reaches lists all that a node may come to.
func Reaches() []string {
	return []string{
		LeaseRenewed, LeaseRefused, LeaseDeclined, AddressDefended, AddressGivenUp, ProbesMet, ClockRepaired, JobAgain, WayUp, WayDown,
	}
}

// probed is what is kept to tell by.
type probed struct {
	way    boot.Way // of the last session
	trying boot.Way // of the one that is to come
}

// probe looks at what an event has led to.
func (c *core) probe(ev boot.Event, effects []boot.Effect) {
	switch ev := ev.(type) {
	case boot.HeardARP:
		if x := c.nic(ev.Interface); x != nil && len(effects) > 0 && ev.Packet.SenderMAC != x.MAC {
			c.probeARP(x, ev.Packet, effects)
		}
	case boot.HeardDHCP:
		if x := c.nic(ev.Interface); x != nil {
			c.probeDHCP(x, ev.Message)
		}
	case boot.Connected:
		if ev.Kind == boot.OK {
			c.probeWay(c.probed.trying)
		}
	}
	for _, e := range effects {
		switch e := e.(type) {
		case boot.SendDHCP:
			if e.Send.Message.Type == lease.Decline {
				c.o.Watcher.Reach(LeaseDeclined)
			}
		case boot.Connect:
			c.probed.trying = e.Path.Way
		}
	}
}

func (c *core) probeARP(x *ether.NIC, p conflict.Packet, effects []boot.Effect) {
	if !x.Has(p.SenderIP) {
		if !x.Has(p.TargetIP) {
			c.o.Watcher.Reach(ProbesMet)
		}
		return
	}
	for _, e := range effects {
		switch e := e.(type) {
		case boot.SendARP:
			if e.Packet.SenderIP == p.SenderIP {
				c.o.Watcher.Reach(AddressDefended)
			}
		case boot.Apply:
			if e.Interface == x.Name && !slices.ContainsFunc(e.Wanted.Addresses, func(a netip.Prefix) bool { return a.Addr() == p.SenderIP }) {
				c.o.Watcher.Reach(AddressGivenUp)
			}
		}
	}
}

func (c *core) probeDHCP(x *ether.NIC, m lease.Message) {
	switch {
	case m.Type == lease.Nak:
		c.o.Watcher.Reach(LeaseRefused)
	case m.Type == lease.Ack && x.Has(m.YourIP):
		c.o.Watcher.Reach(LeaseRenewed)
	}
}

// ways, the worst first.
var ways = []boot.Way{boot.WayFallback, boot.WayDHCP, boot.WayConfigured}

// probeWay looks at the way of a session that has begun.
func (c *core) probeWay(to boot.Way) {
	from := c.probed.way
	c.probed.way = to
	switch before, now := slices.Index(ways, from), slices.Index(ways, to); {
	case before < 0 || before == now:
	case before < now:
		c.o.Watcher.Reach(WayUp)
	default:
		c.o.Watcher.Reach(WayDown)
	}
}
