package api

import "time"

// RotateKind names a kind of key that can be rotated.
type RotateKind string

// The kinds. The first three are rotated node by node, the others by the ACs.
const (
	RotateUnlock RotateKind = "unlock" // the AC's share of a node's key material
	RotateCert   RotateKind = "cert"   // a node's client certificate and its key
	RotateSSH    RotateKind = "ssh"    // a node's ssh host key
	RotateCA     RotateKind = "ca"     // the issuing CA
	RotateServer RotateKind = "server" // the certificates of the ACs
	RotateMaster RotateKind = "master" // the key under which an AC's secrets are sealed
)

// RotateKinds lists them in the order in which they are shown.
func RotateKinds() []RotateKind {
	return []RotateKind{RotateUnlock, RotateCert, RotateSSH, RotateCA, RotateServer, RotateMaster}
}

// OfNodes says whether a kind is rotated node by node.
func (k RotateKind) OfNodes() bool { return k == RotateUnlock || k == RotateCert || k == RotateSSH }

// Rotate is the body of a FrameRotate: the AC asks a node to replace a key, and
// the node answers with the same ID and Kind when it is done or could not. It
// may be asked again at any time; who has done it already says so again.
type Rotate struct {
	ID         string     `json:"id"` // of the rotation
	Kind       RotateKind `json:"kind"`
	Generation uint32     `json:"generation,omitempty"` // unlock: the one to have in use, alone
	OverlapMS  int64      `json:"overlap_ms,omitempty"` // ssh: for how long both keys are offered
	Done       bool       `json:"done,omitempty"`       // answer
	Error      string     `json:"error,omitempty"`      // answer: why it is not done; it is tried again
}

// RotateState is how far a rotation has come at one holder: add, prove, remove.
type RotateState string

// The states, in their order.
const (
	RotateWaiting RotateState = "waiting" // not begun: it is away, or not its turn yet
	RotateAdded   RotateState = "added"   // the new key is there beside the old one
	RotateProved  RotateState = "proved"  // the new key is in use, the old one still good
	RotateRemoved RotateState = "removed" // the old key is gone: done
)

// RotateRequest asks for a rotation to begin (POST PathRotations).
type RotateRequest struct {
	Kind  RotateKind `json:"kind"`
	Nodes []string   `json:"nodes,omitempty"` // ids, MACs or host names; empty: all that are enrolled
	// OverlapMS is for how long a node's ssh offers the old host key with the new
	// one beside it, so that who connects learns the new one (OpenSSH's UpdateHostKeys).
	OverlapMS int64 `json:"overlap_ms,omitempty"`
}

// Rotation is what an operator sees of one (g8os rotate status -o json).
type Rotation struct {
	ID      string              `json:"id"`
	Kind    RotateKind          `json:"kind"`
	Started time.Time           `json:"started"`
	By      string              `json:"by"`
	Paused  bool                `json:"paused"`
	Done    *time.Time          `json:"done"` // null while somebody still holds the old key
	Counts  map[RotateState]int `json:"counts"`
	Holders []RotateHolder      `json:"holders,omitempty"` // only those that still hold the old one
}

// RotateHolder is who still holds the old key, and why, if that is known.
type RotateHolder struct {
	Node  NodeID      `json:"node,omitempty"`
	Name  string      `json:"name"`
	State RotateState `json:"state"`
	Why   string      `json:"why,omitempty"`
}
