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
// Package dispatch decides, in steps without a clock; Hub is the shell around
// it. It does not check certificates (ac-mock/server does), and
// it keeps nothing on disk: after a restart of the AC an operator's stream is
// gone, while the node's job goes on.
package hub
