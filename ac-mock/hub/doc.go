// Package hub holds the sessions of nodes.
//
//	ac-mock/jobs ──exec, cancel, ack──▶ session ──▶ node
//	ac-mock/jobs ◀─started, output, exit─ session ◀── node
//
// It promises:
//   - one session a node: a newer one replaces the older, which is told; a node
//     whose sessions keep replacing each other while both are alive is reported
//     as a clone;
//   - what a node says of its jobs reaches Jobs in its order, of the session that
//     counts only, and no faster than it is made durable; what Jobs has to say
//     reaches the node in order, or the session ends;
//   - a node that says nothing, or reads nothing, costs its own session only.
//
// Package dispatch decides, in steps without a clock; Hub is the shell around
// it. It does not check certificates (ac-mock/server does), does not know what
// becomes of jobs (ac-mock/jobs does), and keeps nothing on disk.
package hub
