package conflict

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/g8os/g8os/internal/planted"
)

// State is where a Machine stands.
type State int

// The states, in the order in which they are passed.
const (
	Idle       State = iota // before Start
	Probing                 // asking whether somebody has the address
	Announcing              // it is ours; telling everybody
	Defending               // it is ours; watching, and saying so now and then
	GaveUp                  // it is somebody else's
)

func (s State) String() string {
	return [...]string{"idle", "probing", "announcing", "defending", "gave up"}[s]
}

// Config says which address a Machine looks after.
type Config struct {
	MAC     string     // of the interface, canonical: its own packets are no conflict
	Own     []string   // MACs of the other interfaces of this machine: no conflict either
	Address netip.Addr // IPv4
	Seed    uint64     // of the waiting times; differs from node to node
	Timing  Timing     // RFC5227() or Quick()
}

// Machine looks after one address on one interface:
//
//	Idle → Probing → Announcing → Defending
//	          ↓           ↓           ↓
//	        GaveUp      GaveUp      GaveUp
//
// Not safe for concurrent use.
type Machine struct {
	c     Config
	rng   *rand.Rand
	state State
	next  time.Time
	sent  int       // probes, or announcements, so far
	upset time.Time // when the address was last defended
}

// New returns a Machine that waits for Start.
func New(c Config) *Machine {
	return &Machine{c: c, rng: rand.New(rand.NewPCG(c.Seed, fingerprint(c.MAC)))}
}

// Address is the address the machine looks after.
func (m *Machine) Address() netip.Addr { return m.c.Address }

// State tells where the machine stands.
func (m *Machine) State() State { return m.state }

// Next is when Tick wants to be called; zero: not before something is heard.
func (m *Machine) Next() time.Time { return m.next }

// Start begins to probe, also after GaveUp. Leads to Probing.
func (m *Machine) Start(now time.Time) []Effect {
	m.state, m.sent, m.upset = Probing, 0, time.Time{}
	m.next = now.Add(m.between(0, m.c.Timing.ProbeWait))
	return m.Tick(now)
}

// Tick does what is due; too early, it does nothing.
func (m *Machine) Tick(now time.Time) []Effect {
	if m.next.IsZero() || now.Before(m.next) {
		return nil
	}
	switch m.state {
	case Probing:
		return m.probe(now)
	case Announcing:
		return m.announce(now)
	case Defending:
		m.next = m.again(now)
		return []Effect{m.say(m.c.Address)}
	}
	return nil
}

// again is when an address in use is announced the next time; zero: never.
func (m *Machine) again(now time.Time) time.Time {
	if m.c.Timing.Repeat <= 0 {
		return time.Time{}
	}
	quarter := m.c.Timing.Repeat / 4
	return now.Add(m.between(3*quarter, 5*quarter))
}

// probe sends the next probe, or claims after the silence that follows the
// last one (RFC 5227, 2.1.1 and 2.3). Leads to Announcing.
func (m *Machine) probe(now time.Time) []Effect {
	if m.sent == m.c.Timing.ProbeNum || planted.Is(planted.NoProbe) {
		m.state, m.sent = Announcing, 0
		return append([]Effect{Claimed{m.c.Address}}, m.announce(now)...)
	}
	m.sent++
	wait := m.c.Timing.AnnounceWait
	if m.sent < m.c.Timing.ProbeNum {
		wait = m.between(m.c.Timing.ProbeMin, m.c.Timing.ProbeMax)
	}
	m.next = now.Add(wait)
	return []Effect{m.say(netip.IPv4Unspecified())}
}

// announce sends the next announcement (RFC 5227, 2.3). Leads to Defending
// after the last one.
func (m *Machine) announce(now time.Time) []Effect {
	m.sent++
	m.next = now.Add(m.c.Timing.AnnounceInterval)
	if m.sent >= m.c.Timing.AnnounceNum {
		m.state, m.next = Defending, m.again(now)
	}
	return []Effect{m.say(m.c.Address)}
}

// Heard takes in an ARP packet of the segment. Leads to GaveUp on a conflict
// while Probing, or on the second one within DefendInterval after it.
func (m *Machine) Heard(p Packet, now time.Time) []Effect {
	if p.SenderMAC == m.c.MAC || slices.Contains(m.c.Own, p.SenderMAC) {
		return nil
	}
	uses := p.SenderIP == m.c.Address
	wants := p.IsProbe() && p.TargetIP == m.c.Address
	switch m.state {
	case Probing:
		if uses || wants {
			return m.giveUp(p)
		}
	case Announcing, Defending:
		if uses && !planted.Is(planted.NoDefence) {
			return m.defend(p, now)
		}
	}
	return nil
}

// defend insists on the address once per DefendInterval and gives it up when
// that did not help (RFC 5227, 2.4 b). Leads to GaveUp or stays.
func (m *Machine) defend(p Packet, now time.Time) []Effect {
	if !m.upset.IsZero() && now.Sub(m.upset) < m.c.Timing.DefendInterval {
		return append(m.giveUp(p), Lost{Address: m.c.Address, By: p.SenderMAC})
	}
	m.upset = now
	return []Effect{Defended{Address: m.c.Address, By: p.SenderMAC}, m.say(m.c.Address)}
}

func (m *Machine) giveUp(p Packet) []Effect {
	while := m.state
	m.state, m.next = GaveUp, time.Time{}
	return []Effect{Conflict{Address: m.c.Address, By: p.SenderMAC, While: while}}
}

// say is a probe, from 0.0.0.0, or an announcement, from the address itself.
func (m *Machine) say(sender netip.Addr) Effect {
	return Send{Packet{Op: Request, SenderMAC: m.c.MAC, SenderIP: sender, TargetIP: m.c.Address}}
}

// between is a time in [low, high], evenly.
func (m *Machine) between(low, high time.Duration) time.Duration {
	return low + time.Duration(m.rng.Int64N(int64(high-low)+1))
}
