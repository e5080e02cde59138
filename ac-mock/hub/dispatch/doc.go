// Package dispatch decides about the sessions of nodes and the jobs that run
// over them: which session of a node counts, when one is dead, whether two
// machines share an identity (Presence); what becomes of a job when sessions
// come and go, and what is handed to whom (Jobs); and what a node may say at
// all (DecodeFrame).
//
// All of it is steps: the caller says what happened and when, and performs the
// effects that come back, in their order, which depends on nothing but the
// steps. What a step costs does not grow with the number of nodes. It owns no
// connection and knows no certificate: hub is the shell around it.
package dispatch

import "time"

// Timing of sessions and jobs.
type Timing struct {
	Silence    time.Duration // a session that says nothing for so long is cut
	ResumeWait time.Duration // how long a job waits for its node to come back
	KeepDone   time.Duration // how long the id of an ended job is remembered
	Write      time.Duration // how long one frame may take to be written
}

// DefaultTiming fits nodes that send a heartbeat every ten seconds or more often.
var DefaultTiming = Timing{
	Silence:    35 * time.Second,
	ResumeWait: 2 * time.Minute,
	KeepDone:   10 * time.Minute,
	Write:      10 * time.Second,
}
