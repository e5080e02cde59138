package conflict

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// How a crowded segment is searched. RFC 5227 (2.1.1) lets a host that met ten
// conflicts try one address a minute; with 253 addresses a node would be out
// for hours. It limits the rate of candidates instead, to below 100 small
// packets a second, and never tries an address that another one is asking for.
const (
	maxWindow = 64                     // candidates probed at the same time
	burst     = 10                     // candidates begun at once …
	pause     = 100 * time.Millisecond // … and the time before the next ones
	enough    = 2                      // candidates that look free before no more are begun

	// How long an address is left alone after somebody used it. All 253 are
	// asked again in this time, so a freed one is ours within
	// usedFor + pause + two ProbeMax + AnnounceWait: 9.1 s with RFC5227().
	usedFor = 3 * time.Second

	// The same, after somebody else probed it: longer than AnnounceWait, so
	// that who came first gets it; two who came at once come back at
	// different times.
	wantedFor = 3 * time.Second
	wantedVar = 2 * time.Second
)

// ClaimConfig says for whom a Claim looks for an address.
type ClaimConfig struct {
	MAC    string     // of the interface, canonical
	Own    []string   // MACs of the other interfaces of this machine
	Last   netip.Addr // the address that was held last time; zero: none
	Seed   uint64     // differs from node to node and from boot to boot
	Timing Timing     // RFC5227() for fallback addresses
}

// Claim finds, announces and defends one of 10.254.254.1 … 253.
//
// It probes one candidate at first. Each one that turns out to be in use
// doubles how many are probed at once; the first that stays free is taken and
// the others are dropped. When its address is Lost it looks for another one.
// Not safe for concurrent use.
type Claim struct {
	c    ClaimConfig
	rng  *rand.Rand
	pick *Pick

	held     *Machine      // what we have; nil while looking
	probing  []*Machine    // candidates, in the order in which they were picked
	window   int           // how many candidates there may be
	refill   time.Time     // no candidate is begun before this
	patience time.Duration // PROBE_WAIT of the next candidate

	avoid [FallbackCount + 1]time.Time // X is somebody's, or somebody's candidate, until then
	taken [FallbackCount + 1]bool      // what this search knows not to be free
	said  bool                         // AllTaken was said in this search
}

// NewClaim returns a Claim that waits for Start.
func NewClaim(c ClaimConfig) *Claim {
	rng := rand.New(rand.NewPCG(c.Seed, fingerprint(c.MAC)))
	return &Claim{c: c, rng: rng, pick: NewPick(c.MAC, c.Seed, c.Last)}
}

// Address is what is held now; zero while looking.
func (c *Claim) Address() netip.Addr {
	if c.held == nil {
		return netip.Addr{}
	}
	return c.held.Address()
}

// Taken is how many of the FallbackCount addresses this search found in use.
func (c *Claim) Taken() int {
	n := 0
	for _, t := range c.taken {
		if t {
			n++
		}
	}
	return n
}

// Next is when Tick wants to be called; zero: not before something is heard.
func (c *Claim) Next() time.Time {
	if c.held != nil {
		return c.held.Next()
	}
	var next time.Time
	if c.wantsMore() {
		next = c.refill
	}
	for _, m := range c.probing {
		if next.IsZero() || m.Next().Before(next) {
			next = m.Next()
		}
	}
	return next
}

// Start begins to look. The first probe waits for a random part of PROBE_WAIT:
// after a power cut, all nodes start at once.
func (c *Claim) Start(now time.Time) []Effect {
	c.held, c.patience = nil, c.c.Timing.ProbeWait
	return c.search(now)
}

// Tick does what is due; too early, it does nothing.
func (c *Claim) Tick(now time.Time) []Effect {
	if c.held != nil {
		return c.held.Tick(now)
	}
	var out []Effect
	for _, m := range c.probing {
		out = append(out, m.Tick(now)...)
		switch {
		case m.State() == Announcing || m.State() == Defending:
			c.hold(m)
			return out
		case m.survived():
			c.taken[fallbackX(m.Address())] = false
		}
	}
	return append(out, c.topUp(now)...)
}

// Heard takes in an ARP packet of the segment.
func (c *Claim) Heard(p Packet, now time.Time) []Effect {
	if p.SenderMAC == c.c.MAC || slices.Contains(c.c.Own, p.SenderMAC) {
		return nil
	}
	c.note(p, now)
	if c.held != nil {
		out := c.held.Heard(p, now)
		if c.held.State() == GaveUp {
			c.held = nil
			out = append(out, c.search(now)...)
		}
		return out
	}
	var out []Effect
	for i, m := range c.probing {
		out = append(out, m.Heard(p, now)...)
		if m.State() == GaveUp {
			c.probing = slices.Delete(c.probing, i, i+1)
			c.taken[fallbackX(m.Address())] = true
			if !p.IsProbe() { // a crowd; two who want the same are none
				c.window = min(2*c.window, maxWindow)
			}
			break // no two candidates have the same address
		}
	}
	return append(out, c.topUp(now)...)
}
