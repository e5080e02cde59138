package boot

import (
	"net/netip"

	"github.com/g8os/g8os/core/api"
)

// Phase is how far a node has come.
type Phase string

// The phases, in order.
const (
	PhaseNetwork Phase = "network"
	PhaseUnlock  Phase = "unlock"
	PhaseSecure  Phase = "secure"
	PhaseSSH     Phase = "ssh"
	PhaseSandbox Phase = "sandbox"
	PhaseManaged Phase = "managed"
)

// Way is how a node got the address at which it reaches its AC.
type Way string

// The ways, best first.
const (
	WayConfigured Way = "configured"
	WayDHCP       Way = "dhcp"
	WayFallback   Way = "fallback"
)

// rank orders ways: higher is better, an unknown way is worst.
func (w Way) rank() int {
	switch w {
	case WayConfigured:
		return 3
	case WayDHCP:
		return 2
	case WayFallback:
		return 1
	}
	return 0
}

// Path is a proven way to an AC: this controller answered over TLS whose chain
// ends in the pinned CA, through this interface, from this address.
type Path struct {
	Controller string // URL
	Interface  string
	Address    netip.Prefix // source address, with the length of its prefix
	Way        Way
	DNS        []netip.Addr // servers to ask for the controller's name
}

// Where describes the path for the AC and the console.
func (p Path) Where(phase Phase) api.Whereabouts {
	w := api.Whereabouts{Phase: string(phase), Way: string(p.Way), Interface: p.Interface}
	if p.Address.IsValid() {
		w.Address = p.Address.String()
	}
	return w
}
