package boot

import "time"

// Timing holds every duration the machine decides by.
type Timing struct {
	// ApplyWait bounds how long an interface may take to come up as configured.
	ApplyWait time.Duration
	// CarrierWait is how long the first round waits for interfaces that were set
	// up just now to show a carrier, when none has one.
	CarrierWait time.Duration
	// TryTimeout bounds one look for an AC: name, TCP, TLS, hello.
	TryTimeout time.Duration
	// LeaseWait is what DHCP gets on one interface in the first round; it
	// doubles with every round up to LeaseWaitMax. The first is short, so that
	// two dead interfaces cost less than fallback may take; a slow server is
	// still found, in a later round or in the background.
	LeaseWait, LeaseWaitMax time.Duration
	// ClaimWait is what finding a free fallback address may take on one
	// interface (RFC 5227 alone takes up to 7 s).
	ClaimWait time.Duration
	// RestMin and RestMax bound the pause between two rounds.
	RestMin, RestMax time.Duration
	// UnlockWait, SecureWait and ConnectWait bound one attempt each.
	UnlockWait, SecureWait, ConnectWait time.Duration
	// LateMax bounds what these and TryTimeout grow to where handshakes are late.
	LateMax time.Duration
	// RetryMin and RetryMax bound the pause between two attempts of a phase.
	RetryMin, RetryMax time.Duration
	// Standing is how long a session must have stood for the climb to have been
	// a success; until then, the pauses between climbs grow to RetryMax.
	Standing time.Duration
	// RefusedMax bounds the pause after a refusal: an operator who approves a
	// node wants to see it go on.
	RefusedMax time.Duration
	// Patience is how many attempts in a row may find no AC on a path before
	// the machine looks for another.
	Patience int
	// BetterFirst and BetterEvery say when a managed node looks for a better
	// way than the one it is on.
	BetterFirst, BetterEvery time.Duration
	// MendMin and MendMax bound the pause before a virtual interface that could
	// not be made is asked for again.
	MendMin, MendMax time.Duration
	// CarrierGrace is how long the interface in use may be without carrier
	// before its session is given up.
	CarrierGrace time.Duration
}

// DefaultTiming is for real networks and for the lab alike.
func DefaultTiming() Timing {
	return Timing{
		ApplyWait: 5 * time.Second, CarrierWait: 3 * time.Second,
		TryTimeout: 2 * time.Second,
		LeaseWait:  2500 * time.Millisecond, LeaseWaitMax: 10 * time.Second,
		ClaimWait: 20 * time.Second,
		RestMin:   500 * time.Millisecond, RestMax: 10 * time.Second,
		UnlockWait: 20 * time.Second, SecureWait: 10 * time.Second, ConnectWait: 5 * time.Second,
		LateMax:  20 * time.Second,
		RetryMin: 500 * time.Millisecond, RetryMax: 15 * time.Second,
		Standing:    15 * time.Second,
		RefusedMax:  3 * time.Second,
		Patience:    2,
		BetterFirst: 10 * time.Second, BetterEvery: 30 * time.Second,
		MendMin: 10 * time.Second, MendMax: 10 * time.Minute,
		CarrierGrace: 2 * time.Second,
	}
}

// backoff returns the pause before attempt n (0, 1, …): doubling from least
// to most, then a half of it and a jittered half, so that a grid that fell at once
// does not return at once. seed and n alone decide.
func backoff(least, most time.Duration, n int, seed uint64) time.Duration {
	d := least
	for range n {
		if d >= most {
			break
		}
		d *= 2
	}
	d = min(d, most)
	return d/2 + time.Duration(mix(seed, uint64(n))%uint64(d/2+1))
}

// mix is splitmix64 over two words: a cheap, even spread, not cryptography.
func mix(a, b uint64) uint64 {
	z := a + (b+1)*0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
