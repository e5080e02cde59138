package lease

import "net/netip"

// Effect is something the caller has to do, or to know. The set is closed.
type Effect interface{ effect() }

// Send sends a message to port 67 of To; zero: as a broadcast. It comes from
// From, the leased address; zero: 0.0.0.0, there is none yet.
type Send struct {
	Message  Message
	From, To netip.Addr
}

// Acquired says that there is a lease: probe its address, then use it.
type Acquired struct{ Lease Lease }

// Renewed says that the lease was extended.
type Renewed struct {
	Lease   Lease
	Changed bool // something besides its times differs: put it on the interface anew
}

// Lost says that the lease in use is over: take its address off the interface.
type Lost struct {
	Lease  Lease
	Reason string
}

// Ignored says that a message was not taken, and why.
type Ignored struct {
	Message Message
	Reason  string
}

func (Send) effect()     {}
func (Acquired) effect() {}
func (Renewed) effect()  {}
func (Lost) effect()     {}
func (Ignored) effect()  {}
