package lease

import (
	"net/netip"
	"time"
)

// discover looks for a server. Leads to Selecting.
func (c *Client) discover(now time.Time) []Effect {
	c.begin(Selecting, now)
	return c.onSelecting(now)
}

// reboot asks whether c.want is still good here (RFC 2131, 3.2). Leads to
// InitReboot.
func (c *Client) reboot(now time.Time) []Effect {
	c.begin(InitReboot, now)
	return c.onReboot(now)
}

func (c *Client) begin(s State, now time.Time) {
	c.state, c.tries, c.xid, c.began, c.asked = s, 0, c.rng.Uint32(), now, now
}

// onSelecting sends a DISCOVER, and again, for ever. An OFFER leads to Requesting.
func (c *Client) onSelecting(now time.Time) []Effect {
	m := c.message(Discover, now)
	m.Asked = c.want
	return c.send(m, now)
}

// onRequesting takes the offer that was chosen. An ACK leads to Bound; a NAK to
// Init; silence to Selecting.
func (c *Client) onRequesting(now time.Time) []Effect {
	if c.tries >= c.c.Timing.RequestTries {
		return c.discover(now)
	}
	m := c.message(Request, now)
	m.Asked, m.ServerID = c.offer.YourIP, c.offer.ServerID
	return c.send(m, now)
}

// onReboot asks for the lease of before. An ACK leads to Bound; a NAK to Init;
// silence to Selecting: a server that does not know the client must not answer.
func (c *Client) onReboot(now time.Time) []Effect {
	if c.tries >= c.c.Timing.RebootTries {
		return c.discover(now)
	}
	m := c.message(Request, now)
	m.Asked = c.want
	return c.send(m, now)
}

// onBound extends the lease: from T1 its own server, from T2 any server (RFC
// 2131, 4.4.5). Each request is a transaction of its own, so that it is known
// from when an ACK counts. Leads to Renewing, Rebinding; an ACK back to Bound.
func (c *Client) onBound(now time.Time) []Effect {
	state, end := Renewing, c.lease.T2
	send := Send{From: c.lease.Address.Addr(), To: c.lease.Server}
	if !now.Before(c.lease.T2) {
		state, end, send.To = Rebinding, c.lease.Expires, netip.Addr{}
	}
	if c.state == Bound {
		c.began = now
	}
	c.state, c.xid, c.asked = state, c.rng.Uint32(), now
	c.next = now.Add(c.renewWait(end.Sub(now)))
	if c.next.After(end) {
		c.next = end
	}
	send.Message = c.message(Request, now)
	send.Message.ClientIP = send.From
	return []Effect{send}
}

// renewWait is half of what is left, but not below RenewMin. That minute of
// the RFC would leave a lease of a minute one try: an eighth of the lease does.
func (c *Client) renewWait(left time.Duration) time.Duration {
	least := min(c.c.Timing.RenewMin, c.lease.Expires.Sub(c.lease.Obtained)/8)
	return max(left/2, least, time.Second)
}

// send broadcasts a message without an address, and sets when to do it again.
func (c *Client) send(m Message, now time.Time) []Effect {
	c.next = now.Add(c.backoff(c.tries))
	c.tries++
	return []Effect{Send{Message: m}}
}

// backoff is First doubled n times, at most Max, ± a quarter: after a power
// cut all nodes ask at once, but not again (RFC 2131, 4.1).
func (c *Client) backoff(n int) time.Duration {
	d := c.c.Timing.Max
	if n < 16 {
		d = min(d, c.c.Timing.First<<n)
	}
	return d - d/4 + time.Duration(c.rng.Int64N(int64(d/2)+1))
}

func (c *Client) message(t Type, now time.Time) Message {
	secs := now.Sub(c.began) / time.Second
	if t == Decline || t == Release {
		secs = 0 // RFC 2131, table 5
	}
	return Message{
		Type: t, XID: c.xid, MAC: c.c.MAC, Secs: uint16(min(secs, 0xffff)),
		ClientID: c.c.ClientID, Hostname: c.c.Hostname,
	}
}
