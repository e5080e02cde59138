package boot

import (
	"net/netip"
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
	"github.com/g8os/g8os/core/network/nettoml"
)

// Effect is something the shell is to do. All but the sends are answered by an
// event; the shell performs effects on one interface in their order.
type Effect interface{ effect() }

// The effects.
type (
	// ReadConfig asks for net.toml as it is on disk now.
	ReadConfig struct{}

	// Ensure asks for a virtual interface of net.toml to exist.
	Ensure struct{ Interface nettoml.Interface }

	// Remove takes away a virtual interface that is no longer in net.toml.
	Remove struct{ Interface string }

	// Apply asks that what is ours on an interface be exactly Wanted.
	Apply struct {
		ID        int
		Interface string
		Wanted    network.Wanted
	}

	// Listen opens and closes the packet sockets of an interface. ARP names the
	// addresses that packets must be about to be of interest; none: closed.
	Listen struct {
		Interface string
		ARP       []netip.Prefix
		DHCP      bool
	}

	// SendARP sends one packet.
	SendARP struct {
		Interface string
		Packet    conflict.Packet
	}

	// SendDHCP sends one message.
	SendDHCP struct {
		Interface string
		Send      lease.Send
	}

	// Try asks whether an AC of this grid is at Path, within Timeout.
	Try struct {
		ID      int
		Path    Path
		Timeout time.Duration
	}

	// Unlock asks for the private volume to be open, made on first boot. With
	// Prove the node proves itself to the AC although the volume is open.
	Unlock struct {
		ID      int
		Path    Path
		Prove   bool
		Timeout time.Duration
	}

	// Secure asks for a client certificate that holds. With Renew a new one is
	// fetched even if the present one looks good.
	Secure struct {
		ID      int
		Path    Path
		Renew   bool
		Timeout time.Duration
	}

	// StartSSH asks for sshd to run.
	StartSSH struct{}

	// Connect asks for a session over Path.
	Connect struct {
		ID      int
		Path    Path
		Timeout time.Duration
	}

	// Disconnect ends a session, or the attempt to open it, in order.
	Disconnect struct{ ID int }

	// Remember asks that the fallback address which led to an AC be kept, so
	// that the node comes back to it.
	Remember struct{ Address netip.Addr }
)

func (ReadConfig) effect() {}
func (Ensure) effect()     {}
func (Remove) effect()     {}
func (Apply) effect()      {}
func (Listen) effect()     {}
func (SendARP) effect()    {}
func (SendDHCP) effect()   {}
func (Try) effect()        {}
func (Unlock) effect()     {}
func (Secure) effect()     {}
func (StartSSH) effect()   {}
func (Connect) effect()    {}
func (Disconnect) effect() {}
func (Remember) effect()   {}
