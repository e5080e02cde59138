package lease

import (
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/g8os/g8os/internal/planted"
)

// State is where a Client stands (RFC 2131, figure 5).
type State int

// The states of the RFC, and Idle.
const (
	Idle       State = iota // not started, or released
	Init                    // pausing before a new start
	InitReboot              // asking for the lease of before
	Selecting               // looking for a server
	Requesting              // taking an offer
	Bound
	Renewing  // asking the server of the lease
	Rebinding // asking any server
)

func (s State) String() string {
	return [...]string{"idle", "init", "init-reboot", "selecting", "requesting", "bound", "renewing", "rebinding"}[s]
}

// Timing holds the waiting times of a client. RFC2131 is the usual one.
type Timing struct {
	First        time.Duration // first wait for an answer; doubles with each try, ± a quarter
	Max          time.Duration // longest wait
	RequestTries int           // requests before an offer is given up
	RebootTries  int           // requests for the lease of before, before any will do
	RenewMin     time.Duration // shortest wait between renewals, if the lease is long enough
	DeclineWait  time.Duration // pause after Decline
	DeclineFor   time.Duration // how long a declined address is not taken again
}

// RFC2131 is the timing of RFC 2131 (3.1.5, 4.1, 4.4.5), but for the first
// wait: one second instead of four, for somebody stands before the machine.
func RFC2131() Timing {
	return Timing{
		First: time.Second, Max: 64 * time.Second,
		RequestTries: 3, RebootTries: 2,
		RenewMin:    time.Minute,
		DeclineWait: 10 * time.Second, DeclineFor: time.Minute,
	}
}

// Config says for whom a Client gets a lease.
type Config struct {
	MAC      string // of the interface, canonical
	Hostname string // sent along; may be empty
	ClientID []byte // option 61; nil: 1 and the MAC (RFC 2132, 9.14)
	Seed     uint64 // of transaction ids and jitter; differs from node to node and boot to boot
	Timing   Timing
	Previous *Lease // of before; if it has not expired it is asked for again
}

// Client gets a lease and keeps it. Not safe for concurrent use.
//
//	Idle → Selecting → Requesting → Bound → Renewing → Rebinding → Selecting
//	         ↑   ↑         ↓          ↓↑        ↓          ↓
//	       Init  └── InitReboot ──────┘└──── (ACK) ←───────┘
type Client struct {
	c     Config
	rng   *rand.Rand
	state State
	next  time.Time // when to send again, or to leave Init or Bound

	xid   uint32    // of the transaction under way
	began time.Time // of this attempt, for Secs
	asked time.Time // when what may be acknowledged now was asked for
	tries int       // messages sent in this state
	offer Message   // the one taken, in Requesting
	naks  int       // refusals in a row

	lease    *Lease     // in use; nil: none
	want     netip.Addr // asked for in a DISCOVER
	declined netip.Addr // not to be taken …
	until    time.Time  // … until then
}

// New returns a Client that waits for Start.
func New(c Config) *Client {
	if c.ClientID == nil {
		hw, _ := net.ParseMAC(c.MAC) // one that is none makes Encode fail
		c.ClientID = append([]byte{1}, hw...)
	}
	h := fnv.New64a()
	h.Write([]byte(c.MAC)) // a hash never fails to write
	return &Client{c: c, rng: rand.New(rand.NewPCG(c.Seed, h.Sum64()))}
}

// State tells where the client stands.
func (c *Client) State() State { return c.state }

// Lease is what is in use; nil: none.
func (c *Client) Lease() *Lease { return c.lease }

// Next is when Tick wants to be called; zero: not before something is heard.
func (c *Client) Next() time.Time {
	if c.lease != nil && !c.lease.Expires.IsZero() && (c.next.IsZero() || c.lease.Expires.Before(c.next)) {
		return c.lease.Expires
	}
	return c.next
}

// Start begins to ask for a lease: for that of before, if it is still good.
// Leads to InitReboot or Selecting.
func (c *Client) Start(now time.Time) []Effect {
	if p := c.c.Previous; p != nil && !p.expired(now) && c.lease == nil {
		c.want = p.Address.Addr()
		return c.reboot(now)
	}
	return c.discover(now)
}

// Tick does what is due; too early, it does nothing.
func (c *Client) Tick(now time.Time) []Effect {
	if planted.Is(planted.LeaseKept) && c.lease != nil && c.lease.expired(now) {
		c.lease.Expires = time.Time{} // as if it had no end
	}
	if c.lease != nil && c.lease.expired(now) {
		out := c.lose("it expired, and no server extended it")
		return append(out, c.discover(now)...)
	}
	if c.next.IsZero() || now.Before(c.next) {
		return nil
	}
	switch c.state {
	case Init:
		return c.discover(now)
	case InitReboot:
		return c.onReboot(now)
	case Selecting:
		return c.onSelecting(now)
	case Requesting:
		return c.onRequesting(now)
	case Bound, Renewing, Rebinding:
		return c.onBound(now)
	}
	return nil
}

// Decline tells the server that the address is taken, gives the lease back
// (Lost) and, after a pause, asks for another address. Leads to Init.
func (c *Client) Decline(now time.Time) []Effect {
	if c.lease == nil {
		return nil
	}
	m := c.message(Decline, now)
	m.XID, m.Asked, m.ServerID = c.rng.Uint32(), c.lease.Address.Addr(), c.lease.Server
	m.Text = "somebody else uses the address"
	c.declined, c.until, c.want = m.Asked, now.Add(c.c.Timing.DeclineFor), netip.Addr{}
	c.state, c.next = Init, now.Add(c.c.Timing.DeclineWait)
	return append([]Effect{Send{Message: m}}, c.lose("declined: somebody else uses the address")...)
}

// Release gives the lease back (Lost) and stops, until Start. Leads to Idle.
func (c *Client) Release(now time.Time) []Effect {
	c.state, c.next = Idle, time.Time{}
	if c.lease == nil {
		return nil
	}
	m := c.message(Release, now)
	m.XID, m.ClientIP, m.ServerID = c.rng.Uint32(), c.lease.Address.Addr(), c.lease.Server
	out := []Effect{Send{Message: m, From: m.ClientIP, To: m.ServerID}}
	return append(out, c.lose("released")...)
}

// LinkFlapped is for when the carrier came back: this may be another segment,
// so the lease is verified, and stays in use until a server says no. Without
// a lease, the search begins anew, without its long waits. Leads to
// InitReboot or Selecting; a pause in Init stays.
func (c *Client) LinkFlapped(now time.Time) []Effect {
	switch {
	case c.state == Idle, c.state == Init:
		return nil
	case c.lease != nil:
		c.want = c.lease.Address.Addr()
		return c.reboot(now)
	}
	return c.discover(now)
}

// lose takes the lease out of use.
func (c *Client) lose(reason string) []Effect {
	l := *c.lease
	c.lease = nil
	return []Effect{Lost{Lease: l, Reason: reason}}
}
