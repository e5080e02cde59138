package api

import (
	"encoding/json"
	"fmt"
	"time"
)

// NodeState is where a node stands with the AC.
type NodeState string

// The states of a node: unknown → pending → enrolled → quarantined → retired.
// An unknown node has no record.
const (
	NodePending     NodeState = "pending"
	NodeEnrolled    NodeState = "enrolled"
	NodeQuarantined NodeState = "quarantined"
	NodeRetired     NodeState = "retired"
)

// Node is what an operator sees of a node (g8os nodes -o json).
type Node struct {
	ID                 NodeID     `json:"id"`
	MAC                string     `json:"mac"`
	Name               string     `json:"name"`            // the host name it claims
	Roles              []string   `json:"roles,omitempty"` // what it is for, as operators say
	State              NodeState  `json:"state"`
	Reason             string     `json:"reason,omitempty"` // why it is pending or quarantined
	Phase              string     `json:"phase"`            // "offline" when no session is alive and it was managed
	Way                string     `json:"way"`
	Address            string     `json:"address"`
	AC                 string     `json:"ac,omitempty"`      // that it has its session with; empty: none
	Drained            bool       `json:"drained,omitempty"` // no new job is begun on it
	Version            string     `json:"version,omitempty"` // of its g8os_core, as it said last
	Fingerprint        string     `json:"fingerprint"`
	TPM                bool       `json:"tpm,omitempty"`       // its TPM keeps the device key
	Grace              Grace      `json:"grace,omitzero"`      // how far it may unlock without an AC
	CertificateExpires *time.Time `json:"certificate_expires"` // null before the first certificate
	LastSeen           *time.Time `json:"last_seen"`
}

// OperatorRequest asks for an operator's client certificate.
type OperatorRequest struct {
	Name  string `json:"name"` // without the role
	Role  string `json:"role"` // viewer | operator | admin
	CSR   []byte `json:"csr"`  // PKCS #10, DER; only its public key is used
	ForMS int64  `json:"for_ms"`
}

// Operator is what can be seen of an operator.
type Operator struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	State   string    `json:"state"` // active | revoked | expired
	By      string    `json:"by"`    // who made it
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"` // the last of its certificates
	Serials []string  `json:"serials"` // of its certificates, hex
}

// OperatorMade answers an OperatorRequest.
type OperatorMade struct {
	Operator
	Chain []byte `json:"chain"` // PEM, leaf first
	Root  []byte `json:"root"`  // PEM, what ACs are verified against
}

// Recovery is the key of the operator's slot of a node's volume.
type Recovery struct {
	NodeID NodeID `json:"node_id"`
	Name   string `json:"name"`
	Key    Secret `json:"key"` // 32 bytes
}

// TokenRequest asks for a join token.
type TokenRequest struct {
	ForMS int64 `json:"for_ms"` // how long it is good
	Uses  int   `json:"uses"`   // how many machines it lets in
}

// JoinToken is what an operator sees of a join token; its text is not in it.
type JoinToken struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // good | revoked | spent | expired
	By      string    `json:"by"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"`
	Left    int       `json:"left"` // of the uses
}

// TokenMade answers a TokenRequest.
type TokenMade struct {
	JoinToken
	Token Secret `json:"token"` // its text, told this once
}

// AuditEntry is one decision about a key, a certificate or a node. Entries are
// numbered from 1 without a gap, and each holds the hash of the one before it
// (ac-mock/audit/chain). One that is younger than a second or so may not be tied
// to the chain yet: Prev is empty, Seq is the number it will have.
type AuditEntry struct {
	Seq      uint64    `json:"seq"`
	Prev     string    `json:"prev,omitempty"` // SHA-256, hex
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`  // spiffe URI, or address of an unproven peer
	Action   string    `json:"action"` // unlock, confirm, certificate, approve, retire, …
	Node     NodeID    `json:"node,omitempty"`
	Decision string    `json:"decision"` // granted | refused
	Reason   string    `json:"reason"`
	Peer     string    `json:"peer,omitempty"` // source address and port
	Detail   string    `json:"detail,omitempty"`
}

// AuditMark names a place in the audit: an entry's number and hash. Who notes
// one elsewhere can later prove that nothing up to it was changed.
type AuditMark struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // SHA-256, hex; empty for number 0
}

func (m AuditMark) String() string { return fmt.Sprintf("%d:%s", m.Seq, m.Hash) }

// AuditChain is a part of the audit as it is stored, to be verified.
type AuditChain struct {
	Anchor  AuditMark         `json:"anchor"`  // of the last entry that was pruned
	Head    AuditMark         `json:"head"`    // of the newest entry
	Entries []json.RawMessage `json:"entries"` // consecutive; empty: there are no more
	Waiting int               `json:"waiting"` // entries that are not tied to the chain yet
}

// Fault is a misbehaviour to arm at an AC that was started with --faults.
type Fault struct {
	Name  string    `json:"name"`            // see ac-mock/fault for the names
	Nodes []NodeID  `json:"nodes,omitempty"` // empty: towards everybody
	ForMS int64     `json:"for_ms,omitempty"`
	Since time.Time `json:"since"`
}

// Failure is the body of a failed operator request.
type Failure struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}
