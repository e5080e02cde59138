package party

import (
	"net/netip"

	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/lab/sim/ether"
)

// Squat has a host take an address, announce it and defend it for ever, as a
// machine does that somebody has set up by hand.
func Squat(nic *ether.NIC, a netip.Addr) {
	nic.Host.Powered, nic.Up = true, true
	p := netip.PrefixFrom(a, 24)
	nic.SetAddresses([]netip.Prefix{p})
	announce := conflict.Packet{Op: conflict.Request, SenderMAC: nic.MAC, SenderIP: a, TargetIP: a}
	nic.HeardARP = func(heard conflict.Packet) {
		if heard.SenderIP == a && heard.SenderMAC != nic.MAC {
			nic.SendARP(announce)
		}
	}
	nic.Watch([]netip.Prefix{netip.PrefixFrom(a, 32)}, false)
	nic.SendARP(announce)
}

// Leave takes a party off its segment.
func Leave(nic *ether.NIC) {
	nic.Host.Listen(nil)
	nic.Host.PowerCut()
}
