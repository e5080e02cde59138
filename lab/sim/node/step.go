package node

import (
	"slices"
	"time"

	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/nettoml"
	"github.com/g8os/g8os/lab/sim/ether"
)

// How long a machine takes for what it does by itself.
const (
	readTime  = time.Millisecond
	applyTime = 4 * time.Millisecond
	linkTime  = time.Millisecond
	sshdTime  = 60 * time.Millisecond

	impostorPatience = 5 * time.Second
)

// happens hands an event to g8os_core, if it runs.
func (n *Node) happens(ev boot.Event) {
	if n.core != nil {
		n.core.happens(ev)
	}
}

func (c *core) happens(ev boot.Event) {
	if c.frozen {
		c.missed = append(c.missed, func() { c.happens(ev) })
		return
	}
	c.step(ev)
}

// after has something happen to this run of g8os_core, unless it has ended by
// then.
func (c *core) after(d time.Duration, do func()) {
	c.e.After(d, func() {
		switch {
		case c.Node.core != c:
		case c.frozen:
			c.missed = append(c.missed, do)
		default:
			do()
		}
	})
}

func (c *core) later(d time.Duration, ev boot.Event) { c.after(d, func() { c.step(ev) }) }

// step steps the machine and performs what it wants.
func (c *core) step(ev boot.Event) {
	effects := c.machine.Step(ev, c.monotonic())
	c.probe(ev, effects)
	for _, e := range effects {
		c.perform(e)
	}
	if p := c.machine.Phase(); p != c.phase || ev == nil {
		c.phase = p
		c.o.Watcher.Phase(c.Node, p)
	}
	c.tickAt(c.machine.Next())
}

// tickAt has the machine ticked when it wants to be, once.
func (c *core) tickAt(next time.Time) {
	if next.Equal(c.dueAt) {
		return
	}
	c.due++
	c.dueAt = next
	if next.IsZero() {
		return
	}
	number := c.due
	c.after(next.Sub(c.monotonic()), func() {
		if number == c.due {
			c.dueAt = time.Time{}
			c.step(boot.Tick{})
		}
	})
}

func (c *core) perform(e boot.Effect) {
	switch e := e.(type) {
	case boot.ReadConfig:
		c.later(readTime, c.config())
	case boot.Ensure:
		c.later(applyTime, boot.Ensured{Interface: e.Interface.Name, Err: "a simulated node has no interfaces of kind " + string(e.Interface.Kind)})
	case boot.Remove:
	case boot.Apply:
		c.after(applyTime, func() { c.apply(e) })
	case boot.Listen:
		if x := c.nic(e.Interface); x != nil {
			x.Watch(e.ARP, e.DHCP)
		}
	case boot.SendARP:
		if x := c.nic(e.Interface); x != nil {
			x.SendARP(e.Packet)
		}
	case boot.SendDHCP:
		if x := c.nic(e.Interface); x != nil {
			x.SendDHCP(e.Send.Message, e.Send.To)
		}
	case boot.Try:
		c.start(e.ID, e.Timeout, func(op *operation) { c.happens(c.try(op, e)) })
	case boot.Unlock:
		c.start(e.ID, e.Timeout, func(op *operation) { c.happens(c.unlock(op, e)) })
	case boot.Secure:
		c.start(e.ID, e.Timeout, func(op *operation) { c.happens(c.secure(op, e)) })
	case boot.StartSSH:
		c.later(sshdTime, boot.SSHStarted{})
	case boot.Connect:
		c.start(e.ID, e.Timeout, func(op *operation) { c.happens(c.connect(op, e)) })
	case boot.Disconnect:
		c.disconnect(e.ID)
	case boot.Remember:
		_ = durable.Write(c.disk, fallbackFile, []byte(e.Address.String()+"\n"), 0o644) // as core/node: said, and lived with
	}
}

func (c *core) nic(name string) *ether.NIC {
	for _, x := range c.Host.NICs {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// config reads net.toml. One text is parsed once: a node reads it every half
// minute.
func (c *core) config() boot.ConfigRead {
	text, err := c.disk.ReadFile(netTOML)
	if err != nil {
		return boot.ConfigRead{Problems: []string{err.Error()}}
	}
	if c.read.text != string(text) {
		config, problems := nettoml.Parse(netTOML, text)
		c.read.text, c.read.is = string(text), boot.ConfigRead{Config: config}
		for _, p := range problems {
			c.read.is.Problems = append(c.read.is.Problems, p.String())
		}
	}
	return c.read.is
}

// apply puts on a NIC what is wanted.
func (c *core) apply(e boot.Apply) {
	x := c.nic(e.Interface)
	if x == nil {
		c.happens(boot.Applied{ID: e.ID, Interface: e.Interface, Err: e.Interface + " is not there"})
		return
	}
	c.touched = slices.DeleteFunc(c.touched, func(name string) bool { return name == x.Name })
	if !e.Wanted.Equal(network.Wanted{}) {
		c.touched = append(c.touched, x.Name)
	}
	x.Up = e.Wanted.Up
	x.SetAddresses(e.Wanted.Addresses)
	c.o.Watcher.Addresses(c.Node)
	c.happens(boot.LinksChanged{Links: c.present()})
	c.happens(boot.Applied{ID: e.ID, Interface: e.Interface})
}

// linksChanged tells of the NICs as they are a moment later.
func (n *Node) linksChanged() {
	c := n.core
	if c == nil || c.links {
		return
	}
	c.links = true
	c.after(linkTime, func() {
		c.links = false
		c.step(boot.LinksChanged{Links: c.present()})
	})
}

// present is the interfaces as the kernel would tell.
func (n *Node) present() []network.Link {
	links := []network.Link{{Name: "lo", Index: 1, Up: true, Carrier: true}}
	for _, x := range n.Host.NICs {
		links = append(links, network.Link{
			Name: x.Name, Index: x.Index, MAC: x.MAC, MTU: 1500, Kind: "veth", Up: x.Up, Carrier: x.Carrier(),
			Card: true, Physical: true, Addresses: slices.Clone(x.Addresses()),
		})
	}
	return links
}
