package conflict

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
//	> machine MAC ADDRESS rfc|quick SEED     > claim MAC SEED [LAST]
//	> start     > run TIME     > probe|announce|reply MAC ADDRESS
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

// stepper is what Machine and Claim have in common.
type stepper interface {
	Start(time.Time) []Effect
	Heard(Packet, time.Time) []Effect
	Tick(time.Time) []Effect
	Next() time.Time
}

type player struct {
	t     *testing.T
	m     stepper
	out   strings.Builder
	begin time.Time
	now   time.Time
}

func play(t *testing.T, script string) string {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &player{t: t, begin: begin, now: begin}
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
	case "machine":
		timing := map[string]Timing{"rfc": RFC5227(), "quick": Quick()}[f[3]]
		p.m = New(Config{MAC: f[1], Address: netip.MustParseAddr(f[2]), Timing: timing, Seed: p.number(f[4])})
	case "claim":
		c := ClaimConfig{MAC: f[1], Seed: p.number(f[2]), Timing: RFC5227()}
		if len(f) > 3 {
			c.Last = netip.MustParseAddr(f[3])
		}
		p.m = NewClaim(c)
	case "start":
		p.show(p.m.Start(p.now))
	case "run":
		p.run(f[1])
	case "probe", "announce", "reply":
		p.show(p.m.Heard(packet(f[0], f[1], netip.MustParseAddr(f[2])), p.now))
	default:
		p.t.Fatalf("unknown event %q", f)
	}
}

func (p *player) run(d string) {
	dur, err := time.ParseDuration(d)
	if err != nil {
		p.t.Fatal(err)
	}
	end := p.now.Add(dur)
	for next := p.m.Next(); !next.IsZero() && !next.After(end); next = p.m.Next() {
		p.now = next
		p.show(p.m.Tick(p.now))
	}
	p.now = end
}

func (p *player) show(effects []Effect) {
	for _, e := range effects {
		what := fmt.Sprintf("%T %+v", e, e)
		fmt.Fprintf(&p.out, "%7.3fs %s\n", p.now.Sub(p.begin).Seconds(), strings.TrimPrefix(what, "conflict."))
	}
}

func (p *player) number(s string) (n uint64) {
	if _, err := fmt.Sscan(s, &n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func packet(kind, mac string, a netip.Addr) Packet {
	p := Packet{Op: Request, SenderMAC: mac, SenderIP: a, TargetIP: a}
	switch kind {
	case "probe":
		p.SenderIP = netip.IPv4Unspecified()
	case "reply":
		p.Op, p.TargetIP = Reply, netip.IPv4Unspecified()
	}
	return p
}
