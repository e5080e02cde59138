package conflict

import (
	"testing"
	"time"
)

// TestFirstTryTakesSevenSeconds at most, and four at least, on a segment where
// the first pick is free.
func TestFirstTryTakesSevenSeconds(t *testing.T) {
	for seed := range uint64(300) {
		s := newSegment(seed)
		n := s.join("02:00:00:00:00:01", seed)
		s.run(10 * time.Second)
		if n.claimed != 1 || n.got < 4*time.Second || n.got > 7*time.Second {
			t.Fatalf("seed %d: claimed %d times, after %v", seed, n.claimed, n.got)
		}
	}
}

// TestOwnInterfacesAreNoConflict: with two interfaces on one segment, the
// kernel answers on one of them for what the other one has.
func TestOwnInterfacesAreNoConflict(t *testing.T) {
	const mac, own = "02:00:00:00:00:01", "02:00:00:00:00:11"
	m := New(Config{MAC: mac, Own: []string{own}, Address: Fallback(7), Timing: RFC5227()})
	c := NewClaim(ClaimConfig{MAC: mac, Own: []string{own}, Timing: RFC5227()})
	m.Start(epoch)
	c.Start(epoch)
	for x := 1; x <= FallbackCount; x++ {
		for _, kind := range []string{"probe", "announce", "reply"} {
			if out := append(m.Heard(packet(kind, own, Fallback(x)), epoch), c.Heard(packet(kind, own, Fallback(x)), epoch)...); len(out) > 0 {
				t.Fatalf("%s for %d: %+v", kind, x, out)
			}
		}
	}
	if m.State() != Probing || c.Taken() != 0 {
		t.Errorf("%v, %d taken", m.State(), c.Taken())
	}
}
