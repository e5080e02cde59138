// Package claim decides which of several ACs on one link has 10.254.254.254.
//
//	          the store names nobody: take
//	free ───────────────────────────────────▶ held, sure
//	  ▲                                        │      ▲
//	  │ the store names another                │ the   │ the store
//	  │                                        │ store │ names us
//	  │ another announces it on the link       ▼ is silent
//	  └──────────────────────────────────── held, not sure
//
// It is a step function: no clock, no I/O. It promises that an AC that is sure
// (the store named it) keeps the address, and announces it against whoever else
// does; that one that cannot ask keeps it until it knows of another, because
// without a majority nobody else can take it, and nodes that have it as their
// only way would lose their sessions for nothing; and that it is free for others
// while the AC is drained. It does not say when the store's word is out: leases do.
package claim

// Event is something that happened. Exactly one field but Drained is looked
// at, in this order.
type Event struct {
	Said    bool   // the store has been heard,
	Holder  string // and names this AC as holder; empty: nobody
	Silent  bool   // the store does not answer
	Foreign bool   // somebody else announced the address on the link
}

// Effect is what is to be done.
type Effect struct {
	Take     bool // write our name into the store, if nobody's is there
	Free     bool // take our name out of the store
	Announce bool // defend the address on the link
}

// Claim is an AC's view of one segment. The zero Claim of a name holds nothing.
type Claim struct {
	Own     string // name of this AC
	Drained bool   // it is to hold nothing
	Held    bool   // it has the address
	Sure    bool   // the store said so, and has answered since
}

// Step takes an event.
func (c Claim) Step(e Event) (Claim, Effect) {
	switch {
	case e.Said:
		return c.said(e.Holder)
	case e.Silent:
		c.Sure = false
	case e.Foreign && c.Held && c.Sure:
		return c, Effect{Announce: true}
	case e.Foreign:
		c.Held = false
	}
	return c, Effect{}
}

func (c Claim) said(holder string) (Claim, Effect) {
	switch {
	case holder == c.Own && c.Drained:
		c.Held, c.Sure = false, false
		return c, Effect{Free: true}
	case holder == c.Own:
		was := c.Held
		c.Held, c.Sure = true, true
		return c, Effect{Announce: !was}
	case holder == "" && !c.Drained:
		c.Sure = false // whoever is first
		return c, Effect{Take: true}
	}
	c.Held, c.Sure = false, false
	return c, Effect{}
}
