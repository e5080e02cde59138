package conflict

import (
	"net/netip"
	"testing"
)

func TestPickComesBackAndCycles(t *testing.T) {
	const mac = "02:00:00:00:00:01"
	for seed := range uint64(50) {
		p := NewPick(mac, seed, netip.Addr{})
		if x := p.Next(); x != FirstX(mac) {
			t.Fatalf("seed %d: first X %d, want %d", seed, x, FirstX(mac))
		}
		p = NewPick(mac, seed, Fallback(200))
		var first []int
		seen := map[int]bool{}
		for range FallbackCount {
			x := p.Next()
			if x < 1 || x > FallbackCount || seen[x] {
				t.Fatalf("seed %d: X %d again, or out of bounds", seed, x)
			}
			seen[x] = true
			first = append(first, x)
		}
		if first[0] != 200 || first[1] != FirstX(mac) {
			t.Fatalf("begins with %v", first[:2])
		}
		for i := range FallbackCount {
			if x := p.Next(); x != first[i] {
				t.Fatalf("seed %d: cycle differs at %d", seed, i)
			}
		}
	}
}

func TestPickIgnoresForeignLast(t *testing.T) {
	for _, a := range []string{"10.254.254.254", "10.254.254.0", "10.254.254.255", "192.168.7.10", "::1"} {
		if x := NewPick("02:00:00:00:00:01", 1, netip.MustParseAddr(a)).Next(); x != FirstX("02:00:00:00:00:01") {
			t.Errorf("last %s: first X is %d", a, x)
		}
	}
}
