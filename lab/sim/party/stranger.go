package party

import (
	"crypto/x509"

	"github.com/g8os/g8os/lab/sim/channel"
	"github.com/g8os/g8os/lab/sim/ether"
)

// Play has a host answer as an AC on its addresses, with a chain of its own
// making, and grant whatever it is asked. told is called with each thing that a
// node entrusts to it beyond the handshake.
func Play(nic *ether.NIC, chain []*x509.Certificate, told func(peer, what string)) {
	nic.Host.Listen(func(end *ether.End) {
		end.Received = func(m any) {
			switch m := m.(type) {
			case channel.Hello:
				end.Send(channel.Shown{Chain: chain, Binding: make([]byte, 32)}, channel.ShownSize)
			case channel.Request:
				told(end.Peer(), m.Path)
				end.Send(channel.Response{Status: 200, Body: []byte("{}")}, channel.RequestHead)
			}
		}
	})
}
