package lease

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"
)

// Heard takes in a message of a server. What does not fit is Ignored.
func (c *Client) Heard(m Message, now time.Time) []Effect {
	if reason := c.unfit(m, now); reason != "" {
		return []Effect{Ignored{Message: m, Reason: reason}}
	}
	switch m.Type {
	case Offer:
		c.offer = m
		c.state, c.tries, c.asked = Requesting, 0, now
		return c.onRequesting(now)
	case Ack:
		return c.acknowledged(m, now)
	default:
		return c.refused(m, now)
	}
}

// acknowledged takes the lease. Leads to Bound.
func (c *Client) acknowledged(m Message, now time.Time) []Effect {
	l, old := leaseFrom(m, c.asked), c.lease
	var out []Effect
	if old != nil && old.Address != l.Address {
		out, old = c.lose("the server gave another address"), nil
	}
	if old != nil {
		out = append(out, Renewed{Lease: l, Changed: !l.sameTerms(*old)})
	} else {
		out = append(out, Acquired{Lease: l})
	}
	c.lease, c.want, c.naks = &l, l.Address.Addr(), 0
	c.state, c.next = Bound, l.T1
	return out
}

// refused begins anew: at once when the lease of before is not good any more,
// with growing pauses when a server offers what it then refuses. Leads to Init
// or Selecting.
func (c *Client) refused(m Message, now time.Time) []Effect {
	var out []Effect
	if c.lease != nil {
		reason := fmt.Sprintf("server %v refused it", m.ServerID)
		if m.Text != "" {
			reason += fmt.Sprintf(": %q", m.Text)
		}
		out = c.lose(reason)
	}
	c.want = netip.Addr{}
	c.naks++
	if c.state != Requesting && c.naks == 1 {
		return append(out, c.discover(now)...)
	}
	c.state, c.next = Init, now.Add(c.backoff(c.naks-1))
	return out
}

// unfit says why a message is not for this client in its state; "": it is.
func (c *Client) unfit(m Message, now time.Time) string {
	switch {
	case m.MAC != c.c.MAC:
		return "it is for " + m.MAC
	case len(m.ClientID) > 0 && !bytes.Equal(m.ClientID, c.c.ClientID): // RFC 6842
		return "it is for another client id"
	case !c.expects(m.Type):
		return fmt.Sprintf("nobody asked for %v while %v", m.Type, c.state)
	case m.XID != c.xid:
		return fmt.Sprintf("transaction %08x is over, %08x is under way", m.XID, c.xid)
	case c.state == Requesting && m.ServerID != c.offer.ServerID:
		return fmt.Sprintf("server %v was not chosen, %v was", m.ServerID, c.offer.ServerID)
	case m.Type == Nak:
		return ""
	case c.state == Requesting && m.YourIP != c.offer.YourIP:
		return fmt.Sprintf("%v was offered", c.offer.YourIP)
	case m.YourIP == c.declined && now.Before(c.until):
		return "the address was declined a moment ago"
	}
	if m.Type == Offer {
		return nonsense(m, now, now)
	}
	return nonsense(m, c.asked, now)
}

// expects tells whether messages of this type are waited for now.
func (c *Client) expects(t Type) bool {
	switch c.state {
	case Selecting:
		return t == Offer
	case Requesting, InitReboot, Renewing, Rebinding:
		return t == Ack || t == Nak
	}
	return false
}

// nonsense says what makes an OFFER or ACK unusable; "": nothing.
func nonsense(m Message, asked, now time.Time) string {
	a := m.YourIP
	switch {
	case !m.ServerID.Is4():
		return "it names no server"
	case !a.Is4(), a.IsUnspecified():
		return "it gives no address"
	case !a.IsGlobalUnicast() && !a.IsLinkLocalUnicast(), a.As4()[0] == 0, a.As4()[0] >= 240:
		return fmt.Sprintf("%v is no address for a host", a)
	case m.Lease <= 0:
		return "it gives no lease time"
	case m.Lease != Infinite && !now.Before(asked.Add(m.Lease)):
		return "the lease is over already"
	}
	p := netip.PrefixFrom(a, prefixBits(m))
	if p.Bits() < 31 && (a == p.Masked().Addr() || a == broadcast(p)) {
		return fmt.Sprintf("%v is the network or broadcast address of %v", a, p.Masked())
	}
	return ""
}

// broadcast is the last address of a prefix.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
