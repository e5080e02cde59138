// Package fault is the vocabulary of what can go wrong in a grid: one set of
// words at every fidelity, in a scenario, on the command line and in a record.
//
//	partition from=dhcp-1 to=ac1 for=30s
//	loss from=office-1 both percent=10
//	dhcp-silent on=dhcp
//	damage-slots on=isolated-2
//
// It promises that a Fault that Check has passed means something in the grid
// it was checked against, and that Parse and String are each other's inverse.
// It does nothing by itself: a grid (lab/grid) puts faults into force, confirms
// them and heals them.
package fault

import (
	"fmt"
	"net/netip"
	"time"
)

// Fault is one thing that goes wrong. Which fields count depends on its Kind;
// the zero value of a field means that it was not given.
type Fault struct {
	Kind string `json:"kind"`

	// From and To are machines (nodes, ACs, DHCP servers, hosts) between which a
	// link misbehaves, one way; empty: everybody. Both makes it both ways.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	Both bool   `json:"both,omitempty"`

	On    string   `json:"on,omitempty"`    // a node, an AC or a segment: where it happens
	NIC   string   `json:"nic,omitempty"`   // of the node; empty: eth0
	Nodes []string `json:"nodes,omitempty"` // towards whom an AC misbehaves; none: everybody

	Percent float64    `json:"percent,omitempty"` // of packets, above 0 to 100
	Delay   Duration   `json:"delay,omitempty"`   // one way
	Jitter  Duration   `json:"jitter,omitempty"`  // added to Delay, evenly from 0
	Rate    Rate       `json:"rate,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
	By      Duration   `json:"by,omitempty"` // how far a clock is off; may be negative

	For Duration `json:"for,omitempty"` // how long; 0: until it is healed
}

// Timed is a fault and when it begins, counted from the start of a run.
type Timed struct {
	At    Duration `json:"at"`
	Fault Fault    `json:"fault"`
}

// Schedule is what goes wrong in a run, in order of time.
type Schedule []Timed

// Span is how long it takes until the last fault with an end has ended. A fault
// without an end counts as its beginning.
func (s Schedule) Span() time.Duration {
	var span time.Duration
	for _, t := range s {
		span = max(span, time.Duration(t.At+t.Fault.For))
	}
	return span
}

// Duration is a time.Duration that is written as text, such as 30s or 1m30s.
type Duration time.Duration

// String writes the duration as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q: want a duration such as 30s or 250ms", text)
	}
	*d = Duration(v)
	return nil
}
