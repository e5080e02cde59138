package conflict

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// segment is a switch in virtual time, with claims on it and hosts that hold
// an address and answer for it.
type segment struct {
	now     time.Time
	rng     *rand.Rand
	loss    float64
	nodes   []*node
	owners  map[netip.Addr]string
	flying  []flight // in order of arrival
	packets int
	clash   string // two who held the same address at the same time
}

type node struct {
	mac     string
	claim   *Claim
	said    time.Duration // AllTaken after
	got     time.Duration // Claimed after
	claimed int
	lost    int
}

type flight struct {
	at time.Time
	to *node
	p  Packet
}

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func newSegment(seed uint64) *segment {
	return &segment{now: epoch, rng: rand.New(rand.NewPCG(seed, 0)), owners: map[netip.Addr]string{}}
}

// crowd gives an owner to each X from one to the other.
func (s *segment) crowd(from, to int) {
	for x := from; x <= to; x++ {
		s.owners[Fallback(x)] = fmt.Sprintf("02:ff:00:00:00:%02x", x)
	}
}

func (s *segment) join(mac string, seed uint64) *node {
	n := &node{mac: mac, claim: NewClaim(ClaimConfig{MAC: mac, Seed: seed, Timing: RFC5227()})}
	s.nodes = append(s.nodes, n)
	s.perform(n, n.claim.Start(s.now))
	return n
}

// run lets virtual time pass, event by event.
func (s *segment) run(d time.Duration) {
	end := s.now.Add(d)
	for {
		at, do := end, func() {}
		for _, n := range s.nodes {
			if next := n.claim.Next(); !next.IsZero() && next.Before(at) {
				at, do = next, func() { s.perform(n, n.claim.Tick(s.now)) }
			}
		}
		if len(s.flying) > 0 && !s.flying[0].at.After(at) {
			f := s.flying[0]
			at, do = f.at, func() {
				s.flying = s.flying[1:]
				s.perform(f.to, f.to.claim.Heard(f.p, s.now))
			}
		}
		if !at.Before(end) {
			s.now = end
			return
		}
		s.now = maxTime(s.now, at)
		do()
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *segment) perform(n *node, effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case Send:
			s.packets++
			s.broadcast(n, e.Packet)
		case Claimed:
			n.got, n.claimed = s.now.Sub(epoch), n.claimed+1
			for _, o := range s.nodes {
				if o != n && o.claim.Address() == e.Address {
					s.clash = fmt.Sprintf("%s and %s at %v", n.mac, o.mac, e.Address)
				}
			}
			if who := s.owners[e.Address]; who != "" {
				s.clash = fmt.Sprintf("%s and owner %s at %v", n.mac, who, e.Address)
			}
		case Lost:
			n.lost++
		case AllTaken:
			n.said = s.now.Sub(epoch)
		}
	}
}

// broadcast delivers to all others, and has the holder of the address answer.
func (s *segment) broadcast(from *node, p Packet) {
	for _, n := range s.nodes {
		if n == from {
			continue
		}
		s.deliver(n, p, 1)
		if p.IsProbe() && n.claim.Address() == p.TargetIP {
			s.deliver(from, answer(n.mac, p), 2)
		}
	}
	if mac := s.owners[p.TargetIP]; mac != "" && p.IsProbe() {
		s.deliver(from, answer(mac, p), 2)
	}
}

func answer(mac string, p Packet) Packet {
	return Packet{Op: Reply, SenderMAC: mac, SenderIP: p.TargetIP, TargetMAC: p.SenderMAC, TargetIP: p.SenderIP}
}

func (s *segment) deliver(to *node, p Packet, hops int) {
	if s.rng.Float64() < s.loss {
		return
	}
	at := s.now.Add(time.Duration(hops) * time.Duration(100+s.rng.IntN(400)) * time.Microsecond)
	i, _ := slices.BinarySearchFunc(s.flying, at, func(f flight, t time.Time) int { return f.at.Compare(t) })
	s.flying = slices.Insert(s.flying, i, flight{at, to, p})
}

func (s *segment) missing() (n int) {
	for _, x := range s.nodes {
		if !x.claim.Address().IsValid() {
			n++
		}
	}
	return n
}

// sameX returns MACs whose FirstX is the same.
func sameX(n int) []string {
	var macs []string
	for i := 1; len(macs) < n; i++ {
		mac := fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255)
		if len(macs) == 0 || FirstX(mac) == FirstX(macs[0]) {
			macs = append(macs, mac)
		}
	}
	return macs
}

// TestT9TwoNodesPickTheSameX: they end with different addresses, at most one
// of them later than a single try takes.
func TestT9TwoNodesPickTheSameX(t *testing.T) {
	for seed := range uint64(200) {
		s := newSegment(seed)
		for i, mac := range sameX(2) {
			s.join(mac, seed*2+uint64(i))
		}
		s.run(16 * time.Second)
		a, b := s.nodes[0].claim.Address(), s.nodes[1].claim.Address()
		if s.clash != "" || s.missing() > 0 || a == b {
			t.Fatalf("seed %d: clash %q, %v and %v", seed, s.clash, a, b)
		}
	}
}

// TestNoTwoHoldTheSame: whatever the number of nodes, wherever their first
// pick is, however full the segment: no two ever hold the same address, and
// everybody who finds room gets in.
func TestNoTwoHoldTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSegment(rapid.Uint64().Draw(t, "seed"))
		s.crowd(1, rapid.IntRange(0, 240).Draw(t, "owners"))
		macs := sameX(rapid.IntRange(2, 13).Draw(t, "nodes"))
		for i, mac := range macs {
			if rapid.Bool().Draw(t, "other X") {
				mac = fmt.Sprintf("02:01:00:00:00:%02x", i)
			}
			s.join(mac, uint64(i))
			s.run(time.Duration(rapid.IntRange(0, 500).Draw(t, "gap")) * time.Millisecond)
		}
		s.run(60 * time.Second)
		if s.clash != "" || s.missing() > 0 {
			t.Fatalf("clash %q, %d without an address", s.clash, s.missing())
		}
	})
}

// TestLossHeals: with nine of ten packets lost two may come to hold the
// same address; once they hear each other they do not keep it.
func TestLossHeals(t *testing.T) {
	for seed := range uint64(30) {
		s := newSegment(seed)
		s.loss = 0.9
		for i, mac := range sameX(4) {
			s.join(mac, seed*10+uint64(i))
		}
		s.run(20 * time.Second)
		s.loss = 0
		for range 6 { // what ARP traffic of their applications shows
			for _, n := range s.nodes {
				if a := n.claim.Address(); a.IsValid() {
					s.broadcast(n, packet("announce", n.mac, a))
				}
			}
			s.run(5 * time.Second)
		}
		s.run(20 * time.Second)
		seen := map[netip.Addr]bool{}
		for _, n := range s.nodes {
			if a := n.claim.Address(); !a.IsValid() || seen[a] {
				t.Fatalf("seed %d: %s has %v, seen %v", seed, n.mac, a, seen)
			} else {
				seen[a] = true
			}
		}
	}
}

// TestAllTaken: a full segment is established soon, one that frees is ours
// within ten seconds, and the rate of packets stays bounded.
func TestAllTaken(t *testing.T) {
	for seed := range uint64(20) {
		s := newSegment(seed)
		s.crowd(1, FallbackCount)
		n := s.join("02:00:00:00:00:01", seed)
		s.run(60 * time.Second)
		if n.said == 0 || n.said > 10*time.Second || n.claimed != 0 {
			t.Fatalf("seed %d: said after %v, claimed %d times", seed, n.said, n.claimed)
		}
		if s.packets > 60*100 {
			t.Fatalf("seed %d: %d packets in a minute", seed, s.packets)
		}
		freed := 1 + int(seed*12)
		delete(s.owners, Fallback(freed))
		s.run(10 * time.Second)
		if n.claim.Address() != Fallback(freed) {
			t.Fatalf("seed %d: not in 10 s after %d was freed", seed, freed)
		}
	}
}

// TestManyWaitForOne: several nodes wait on a full segment; each address that
// frees is taken by one of them.
func TestManyWaitForOne(t *testing.T) {
	s := newSegment(1)
	s.crowd(1, FallbackCount)
	for i, mac := range sameX(8) {
		s.join(mac, uint64(i))
	}
	s.run(30 * time.Second)
	for freed := 1; freed <= 8; freed++ {
		delete(s.owners, Fallback(freed*20))
		s.run(15 * time.Second)
		if in := 8 - s.missing(); in != freed || s.clash != "" {
			t.Fatalf("%d freed, %d in, clash %q", freed, in, s.clash)
		}
	}
}

// TestHundredAtOnce: a hundred nodes after a power cut.
func TestHundredAtOnce(t *testing.T) {
	s := newSegment(3)
	for i := range 100 {
		s.join(fmt.Sprintf("02:00:00:00:00:%02x", i), uint64(i))
	}
	s.run(15 * time.Second)
	if s.clash != "" || s.missing() > 0 {
		t.Fatalf("clash %q, %d without an address after 15 s", s.clash, s.missing())
	}
}
