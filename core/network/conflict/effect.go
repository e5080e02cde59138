package conflict

import "net/netip"

// Effect is something the caller has to do, or to know. The set is closed.
type Effect interface{ effect() }

// Send puts a packet on the segment, as a broadcast (RFC 5227 asks for it also
// in replies; there are none here).
type Send struct{ Packet Packet }

// Claimed says that the address is ours from now on: put it on the interface.
type Claimed struct{ Address netip.Addr }

// Defended says that somebody used our address and we insisted on it, once.
type Defended struct {
	Address netip.Addr
	By      string // MAC of the other party
}

// Conflict says that somebody else has the address, or wants it at this
// moment. While is the state it was noticed in: past Probing the address has
// been in use here, and Lost follows.
type Conflict struct {
	Address netip.Addr
	By      string // MAC of the other party
	While   State
}

// Lost says that an address that was Claimed is no longer ours: take it off
// the interface. A Claim goes on to look for another one by itself.
type Lost struct {
	Address netip.Addr
	By      string // MAC of the other party
}

// AllTaken says, once per search, that every address a Claim may take is in
// somebody's hands. It keeps asking.
type AllTaken struct{ Count int }

func (Send) effect()     {}
func (Claimed) effect()  {}
func (Defended) effect() {}
func (Conflict) effect() {}
func (Lost) effect()     {}
func (AllTaken) effect() {}
