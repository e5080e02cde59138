package boot

import (
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
	"github.com/g8os/g8os/core/network/nettoml"
)

// Event is something that happened outside the machine.
type Event interface{ event() }

// The events. An ID names the effect that an event answers; an answer to an
// effect that the machine no longer waits for changes nothing.
type (
	// Tick says that time has passed; the shell sends one when Next is due.
	Tick struct{}

	// LinksChanged brings all interfaces as they are now, in kernel order.
	LinksChanged struct{ Links []network.Link }

	// ConfigRead brings net.toml as it is on disk, with the lines that had to
	// be left out of it. It answers ReadConfig and also comes by itself when
	// the file changes.
	ConfigRead struct {
		Config   nettoml.Config
		Problems []string
	}

	// Ensured answers Ensure.
	Ensured struct {
		Interface string
		Err       string
	}

	// Applied answers Apply.
	Applied struct {
		ID        int
		Interface string
		Err       string
	}

	// HeardARP brings an ARP packet of other senders on an interface.
	HeardARP struct {
		Interface string
		Packet    conflict.Packet
	}

	// HeardDHCP brings a DHCP message to this client on an interface.
	HeardDHCP struct {
		Interface string
		Message   lease.Message
	}

	// Tried answers Try. Err is empty when the AC has proved itself; Faults are
	// then those armed at it.
	Tried struct {
		ID     int
		Err    string
		Late   bool // somebody was there, whose handshake did not end in time
		Faults []string
	}

	// Unlocked answers Unlock.
	Unlocked struct {
		ID     int
		NodeID string
		Failure
	}

	// Secured answers Secure. RenewAt is when the certificate wants renewing.
	Secured struct {
		ID      int
		RenewAt time.Time
		Failure
	}

	// SSHStarted answers StartSSH; with an error, sshd does not run, and the
	// shell goes on trying.
	SSHStarted struct{ Err string }

	// Connected answers Connect.
	Connected struct {
		ID int
		Failure
	}

	// Disconnected says that an established session has ended.
	Disconnected struct {
		ID int
		Failure
	}

	// RenewCertificate says that the client certificate is to be replaced before
	// its time: the AC asked for it.
	RenewCertificate struct{}

	// VolumeLost says that the private volume is no longer mounted.
	VolumeLost struct{ Err string }
)

// Failure says why an effect did not succeed, by what is to be done about it.
// The zero Failure is success.
type Failure struct {
	Kind  FailureKind
	Err   string
	After time.Duration // the AC said when it wants to be asked again; 0: it did not
	Late  bool          // somebody was there, whose handshake did not end in time
}

// FailureKind tags a failure with what the machine is to do.
type FailureKind int

// The kinds.
const (
	OK          FailureKind = iota
	Unreachable             // no AC there now: look for another path
	Refused                 // the AC said no, without a reason: ask again, visibly
	Distrusted              // our certificate does not hold: prove ourselves again
	Broken                  // something on this node is damaged or missing: say so, try again slowly
)

func (Tick) event()         {}
func (LinksChanged) event() {}
func (ConfigRead) event()   {}
func (Ensured) event()      {}
func (Applied) event()      {}
func (HeardARP) event()     {}
func (HeardDHCP) event()    {}
func (Tried) event()        {}
func (Unlocked) event()     {}
func (Secured) event()      {}
func (SSHStarted) event()   {}
func (Connected) event()    {}
func (Disconnected) event() {}
func (VolumeLost) event()   {}

func (RenewCertificate) event() {}
