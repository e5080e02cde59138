// Package party is the other parties of a simulated segment: the DHCP server,
// which is the one of lab/actor/dhcp, somebody who has an address, and somebody
// who plays the AC.
//
// It promises that they behave as the actors of the same names do on a real
// segment. It decides nothing about nodes.
package party

import (
	"net/netip"
	"time"

	"github.com/g8os/g8os/core/network/lease"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
	"github.com/g8os/g8os/lab/sim/engine"
	"github.com/g8os/g8os/lab/sim/ether"
)

// DHCP is a DHCP server on a host of its own.
type DHCP struct {
	server *decide.Server
	nic    *ether.NIC
	e      *engine.Engine
	epoch  time.Time
	leased map[netip.Addr]Leased
}

// Leased is what a client was told last about an address.
type Leased struct {
	MAC   string
	Until time.Duration // grid time
}

// thinking is how long a server takes to answer.
const thinking = 300 * time.Microsecond

// NewDHCP puts a server on a NIC.
func NewDHCP(e *engine.Engine, nic *ether.NIC, epoch time.Time, scope decide.Scope) (*DHCP, error) {
	server, err := decide.New(scope, decide.Mode{Name: "normal"})
	if err != nil {
		return nil, err
	}
	d := &DHCP{server: server, nic: nic, e: e, epoch: epoch, leased: map[netip.Addr]Leased{}}
	nic.Host.Powered, nic.Up = true, true
	nic.SetAddresses([]netip.Prefix{netip.PrefixFrom(scope.Server, scope.Net.Bits())})
	nic.ServeDHCP = d.hear
	nic.Serve(true)
	return d, nil
}

// SetMode makes it behave otherwise.
func (d *DHCP) SetMode(m decide.Mode) { d.server.SetMode(m) }

// Off takes it off the segment.
func (d *DHCP) Off() {
	d.nic.Serve(false)
	d.nic.Host.PowerCut()
}

// Leased is who was told that an address is his, and until when.
func (d *DHCP) Leased(a netip.Addr) (Leased, bool) {
	l, ok := d.leased[a]
	return l, ok
}

func (d *DHCP) hear(m lease.Message) {
	answer, ok, err := d.server.Hear(m, d.epoch.Add(d.e.Now()))
	if err != nil || !ok {
		return
	}
	if answer.Type == lease.Ack {
		d.leased[answer.YourIP] = Leased{m.MAC, d.e.Now() + answer.Lease}
	}
	d.e.After(thinking+d.server.Mode().Delay, func() { d.nic.AnswerDHCP(answer) })
}
