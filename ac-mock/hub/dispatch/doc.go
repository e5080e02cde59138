// Package dispatch decides about the sessions of nodes: which session of a node
// counts, when one is dead, whether two machines share an identity (Presence);
// and what a node may say at all (DecodeFrame). What becomes of jobs when
// sessions come and go decides ac-mock/jobs/delivery.
//
// All of it is steps: the caller says what happened and when, and performs what
// comes back, in an order which depends on nothing but the steps. What a step
// costs does not grow with the number of nodes. It owns no connection and knows
// no certificate: hub is the shell around it.
package dispatch

import "time"

// Timing of sessions.
type Timing struct {
	Silence time.Duration // a session that says nothing for so long is cut
	Write   time.Duration // how long one frame may take to be written
}

// DefaultTiming fits nodes that send a heartbeat every ten seconds or more often.
var DefaultTiming = Timing{Silence: 35 * time.Second, Write: 10 * time.Second}
