// Package hub holds the sessions of nodes and the jobs that run over them.
//
//	operator ── Exec ──▶ Jobs ──exec, ack──▶ session ──▶ node
//	operator ◀─ Stream ─ Jobs ◀─output, exit─ session ◀── node
//
// It promises:
//   - one session a node: a newer one replaces the older, which is told; a node
//     whose sessions keep replacing each other while both are alive is reported
//     as a clone;
//   - a job runs once on a node that keeps running, whatever happens to the
//     session: output is numbered, acknowledged only when the operator has
//     taken it, and handed on without gaps or doubles;
//   - a node that says nothing, or reads nothing, costs its own session only.
//
// Who decides: Jobs and Presence, step functions without a clock. Hub is the
// shell around them. It does not check certificates (ac-mock/server does), and
// it keeps nothing on disk: after a restart of the AC an operator's stream is
// gone, while the node's job goes on.
package hub

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
