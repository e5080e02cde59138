package lease

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/transcript"
)

// TestTranscripts runs each script in testdata: lines that begin with ">" are
// events, what stands below them is what came out, at which time.
//
//	> client [PREVIOUS/BITS LIFETIME]
//	> start|flap|decline|release     > run TIME
//	> offer|ack|nak ADDRESS/BITS SERVER [LIFETIME [wrong-xid|wrong-mac|wrong-id]]
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

const mac = "02:00:00:00:00:01"

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

type player struct {
	t   *testing.T
	c   *Client
	xid uint32 // of the message sent last
	out strings.Builder
	now time.Time
}

func play(t *testing.T, script string) string {
	p := &player{t: t, now: epoch}
	for line := range strings.Lines(script) {
		switch {
		case strings.HasPrefix(line, ">"):
			p.out.WriteString(line)
			p.do(strings.Fields(line)[1:])
		case strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
			p.out.WriteString(line)
		}
	}
	return p.out.String()
}

func (p *player) do(f []string) {
	switch f[0] {
	case "client":
		c := Config{MAC: mac, Hostname: "n1", Seed: 1, Timing: RFC2131()}
		if len(f) > 1 {
			c.Previous = &Lease{Address: netip.MustParsePrefix(f[1]), Expires: epoch.Add(p.duration(f[2]))}
		}
		p.c = New(c)
		return
	case "start":
		p.show(p.c.Start(p.now))
	case "flap":
		p.show(p.c.LinkFlapped(p.now))
	case "decline":
		p.show(p.c.Decline(p.now))
	case "release":
		p.show(p.c.Release(p.now))
	case "run":
		p.run(p.duration(f[1]))
	case "offer", "ack", "nak":
		p.show(p.c.Heard(p.message(f), p.now))
	default:
		p.t.Fatalf("unknown event %q", f)
	}
	fmt.Fprintf(&p.out, "          is %v\n", p.c.State())
}

func (p *player) message(f []string) Message {
	a := netip.MustParsePrefix(f[1])
	m := Message{
		Type: map[string]Type{"offer": Offer, "ack": Ack, "nak": Nak}[f[0]], XID: p.xid, MAC: mac,
		YourIP: a.Addr(), Bits: a.Bits(), ServerID: addr(netip.MustParseAddr(f[2]).AsSlice()),
	}
	if len(f) > 3 {
		m.Lease = p.duration(f[3])
	}
	if len(f) > 4 {
		switch f[4] {
		case "wrong-xid":
			m.XID++
		case "wrong-mac":
			m.MAC = "02:00:00:00:00:02"
		case "wrong-id":
			m.ClientID = []byte{0, 'x'}
		}
	}
	return m
}

func (p *player) run(d time.Duration) {
	end := p.now.Add(d)
	for next := p.c.Next(); !next.IsZero() && !next.After(end); next = p.c.Next() {
		p.now = next
		p.show(p.c.Tick(p.now))
	}
	p.now = end
}

func (p *player) show(effects []Effect) {
	for _, e := range effects {
		fmt.Fprintf(&p.out, "%8.2fs %s\n", p.now.Sub(epoch).Seconds(), p.describe(e))
	}
}

func (p *player) describe(e Effect) string {
	switch e := e.(type) {
	case Send:
		p.xid = e.Message.XID
		to := "all"
		if e.To.IsValid() {
			to = e.To.String()
		}
		from := "0.0.0.0"
		if e.From.IsValid() {
			from = e.From.String()
		}
		return fmt.Sprintf("send %s to %s: %v secs %d", from, to, e.Message, e.Message.Secs)
	case Acquired:
		return "acquired " + p.terms(e.Lease)
	case Renewed:
		return fmt.Sprintf("renewed (changed %v) %s", e.Changed, p.terms(e.Lease))
	case Lost:
		return fmt.Sprintf("lost %v: %s", e.Lease.Address, e.Reason)
	case Ignored:
		return fmt.Sprintf("ignored %v: %s", e.Message.Type, e.Reason)
	}
	return fmt.Sprintf("unknown effect %T", e)
}

func (p *player) terms(l Lease) string {
	if l.Expires.IsZero() {
		return fmt.Sprintf("%v for ever", l.Address)
	}
	at := func(t time.Time) string { return t.Sub(epoch).Round(10 * time.Millisecond).String() }
	return fmt.Sprintf("%v T1 %s T2 %s until %s", l.Address, at(l.T1), at(l.T2), at(l.Expires))
}

func (p *player) duration(s string) time.Duration {
	if s == "ever" {
		return Infinite
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}
