// Package boot is the node's boot machine: everything that decides on the way
// from power-on to managed, and what keeps a managed node managed.
//
//	network ──▶ unlock ──▶ secure ──▶ ssh ──▶ sandbox ──▶ managed
//	   ▲           │          │                              │
//	   └───────────┴──────────┴──── the AC cannot be reached ┘
//	               ▲          └─ no usable certificate ──────┤
//	               └──── the certificate does not hold ──────┘
//
// Within network, one round after another, for ever:
//
//	reading ─▶ configuring ─▶ configured ─▶ leasing ─▶ leased ─▶ claiming ─▶ claimed ─▶ resting
//	   ▲                        one after another: every interface, DHCP, then fallback    │
//	   └────────────────────────────────────────────────────────────────────────────────┘
//
// The machine is a step function: Step(event, now) returns effects, which a
// shell (core/node) performs; their results come back as events. Next says
// when the machine wants a Tick. Inside there is no clock, random source,
// goroutine, socket or file, and nothing depends on the order of a map, so the
// same events give the same effects, bit for bit.
//
// It promises: no phase gives up, every wait has a deadline and is named in
// Status, an interface that is not declared and did not lead to an AC is given
// back as it was, and an interface with method "none" is never touched. It
// does not verify an AC, hold a key or speak HTTP: those are effects.
package boot
