// Package api is the contract between a node and its agent controller (the
// AC), and between an operator and the AC: paths, messages, identities, and
// the rules by which each side proves itself.
//
// It promises that every message is plain data, that the same bytes are signed
// and verified on both sides, and that nothing in it touches a clock, a socket
// or a file. It is not a client and not a server; those are core/managed,
// core/find and ac-mock/server.
//
// How a node climbs, in messages (all of them HTTP/1.1 over TLS 1.3):
//
//	node                                         AC
//	 │ TLS, the AC's chain ends in the pinned CA  │
//	 ├── GET  /node/hello ───────────────────────▶│ an AC is there; its time
//	 ├── POST /node/challenge ───────────────────▶│ a nonce for this connection
//	 ├── POST /node/unlock     Signed(Claim) ────▶│ shares, or a refusal
//	 │      make or open the private volume       │
//	 ├── POST /node/confirm    Signed(Confirm) ──▶│ the generation is in use
//	 ├── POST /node/certificate Signed(CSR) ─────▶│ client certificate
//	 │ TLS again, now with the client certificate │
//	 ├── GET  /node/session    WebSocket ◀───────▶│ heartbeats, jobs, output
//	 └── GET  /node/layer/SUM ───────────────────▶│ a layer of its operating system
//
// Challenge, unlock, confirm and certificate travel on one TLS connection: a
// nonce is valid on the connection that asked for it, once, and every
// signature is bound to that connection's exporter value (RFC 9266's idea,
// with a label of our own).
package api

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Port is the one TCP port of an AC, for nodes, operators and the browser.
const Port = 8966

// FallbackAddress is where an AC is found when nothing else works: on the
// link, without DHCP or configuration. Nodes take 10.254.254.1 to .253.
const FallbackAddress = "10.254.254.254"

// FallbackController is the URL of the AC at FallbackAddress.
const FallbackController = "https://10.254.254.254:8966"

// Paths a node uses.
const (
	PathHello       = "/node/hello"
	PathChallenge   = "/node/challenge"
	PathUnlock      = "/node/unlock"
	PathConfirm     = "/node/confirm"
	PathCertificate = "/node/certificate"
	PathSession     = "/node/session"
	PathLayer       = "/node/layer/{sum}" // GET with the node's certificate; Range is understood
)

// LayerPath is PathLayer for a layer, by its SHA-256 in hex.
func LayerPath(sum string) string { return strings.Replace(PathLayer, "{sum}", sum, 1) }

// IsLayer reports whether a text is the name of a layer: a SHA-256 in hex.
func IsLayer(sum string) bool {
	raw, err := hex.DecodeString(sum)
	return err == nil && len(raw) == sha256.Size && strings.ToLower(sum) == sum
}

// Paths an operator uses. {id} is a NodeID, a MAC or a host name.
const (
	PathNodes      = "/api/nodes"                 // GET; ?watch=1 streams one []Node a line on every change
	PathNode       = "/api/nodes/{id}"            // GET
	PathApprove    = "/api/nodes/{id}/approve"    // POST
	PathRetire     = "/api/nodes/{id}/retire"     // POST
	PathQuarantine = "/api/nodes/{id}/quarantine" // POST
	PathRelease    = "/api/nodes/{id}/release"    // POST; out of quarantine
	PathNodeDrain  = "/api/nodes/{id}/drain"      // POST; no new job is begun on it; DELETE undoes it
	PathAudit      = "/api/audit"                 // GET; ?node= filters; newest last
	PathAuditChain = "/api/audit/chain"           // GET ?after=; answers AuditChain
	PathRecovery   = "/api/nodes/{id}/recovery"   // POST ?again=1; answers Recovery
	PathTokens     = "/api/tokens"                // GET []JoinToken; POST TokenRequest, answers TokenMade
	PathToken      = "/api/tokens/{id}"           // DELETE; answers JoinToken
	PathOperators  = "/api/operators"             // GET []Operator; POST OperatorRequest, answers OperatorMade
	PathOperator   = "/api/operators/{id}"        // DELETE; answers Operator
	PathFaults     = "/api/faults"                // GET, POST Fault, DELETE ?name=
	PathRotations  = "/api/rotations"             // GET []Rotation; POST RotateRequest, answers Rotation
	PathRotation   = "/api/rotations/{kind}/{do}" // POST; do is pause or resume
	PathACs        = "/api/acs"                   // GET []AC; POST NewAC, answers AC
	PathAC         = "/api/acs/{name}"            // DELETE; it is a member no longer
	PathACDrain    = "/api/acs/{name}/drain"      // POST, DELETE to undo; answers AC
	PathBackup     = "/api/backup"                // GET; a file for g8os restore
	PathSupport    = "/api/support"               // GET; a gzipped tar file (g8os support-bundle)
	PathMetrics    = "/metrics"                   // GET; Prometheus' text format (ac-mock/METRICS.md)
	PathHealth     = "/healthz"                   // GET, no certificate needed
	PathReady      = "/readyz"                    // GET, no certificate needed
)

// MaxBody bounds every request body in bytes, in both directions.
const MaxBody = 64 << 10

// MaxFrame bounds one session frame in bytes.
const MaxFrame = 256 << 10
