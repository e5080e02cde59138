package grid

import (
	"errors"
	"net/netip"
	"time"

	"github.com/g8os/g8os/core/api"
)

// ErrNoFault is wrapped when no fault in force has the id that was given.
var ErrNoFault = errors.New("no such fault is in force")

// Node is where a node is.
type Node struct {
	Name     string     `json:"name"`
	MAC      string     `json:"mac"` // of its first NIC
	Segment  string     `json:"segment"`
	Powered  bool       `json:"powered"`
	Running  bool       `json:"running"` // g8os_core runs and is not frozen
	Status   api.Status `json:"status"`  // zero when it does not run
	Holdings []Holding  `json:"holdings"`
}

// Managed says whether the node is.
func (n Node) Managed() bool { return n.Status.Phase == "managed" }

// Holding is an address that a node has on a NIC, and the segment that NIC is
// plugged into.
type Holding struct {
	NIC     string       `json:"nic"`
	Segment string       `json:"segment"`
	Address netip.Prefix `json:"address"`
}

// Facts is what there is to know about a grid at a moment, and what has
// happened since the Facts before.
type Facts struct {
	At    time.Duration // grid time
	Nodes []Node

	// What happened since the last Facts.
	Duplicates []Duplicate
	Releases   []Release
	Trusts     []Trust
	Acts       []Act
	Twins      []Twin
	Takings    []Taking

	// Disputes are the addresses that nodes have now although somebody who is no
	// node of the grid has them too.
	Disputes []Dispute
	// Overstays are the addresses that nodes use now although their lease is over.
	Overstays []Overstay
	// Plaintext names nodes on whose disk the content of the volume was found in
	// clear.
	Plaintext []string
	Jobs      []Job // all that were run in this grid
}

// Duplicate is one address of a segment that two managed nodes had at once.
type Duplicate struct {
	At      time.Duration
	Segment string
	Address netip.Addr
	Nodes   [2]string
}

// Release is a key share that left an AC.
type Release struct {
	At     time.Duration
	Node   string // record that it belongs to
	State  string // of the record after the decision
	Proved bool   // the claimant had signed with the device key of the record
	Stale  bool   // its counter was not above that of an earlier one: a copy of the disk, or one that went back
}

// Trust is a server that a node took for an AC.
type Trust struct {
	At      time.Duration
	Node    string
	Server  string
	Genuine bool // its chain ends in the CA that is pinned
}

// Act is a request that an AC has granted: by whom, and for whom.
type Act struct {
	At        time.Duration
	Node, For string // record ids
	What      string
}

// Twin is an identity whose session went to and fro between two machines.
type Twin struct {
	At    time.Duration
	ID    string
	Hosts [2]string
	Times int // in the last minutes
}

// Taking is an address that a node has put on a NIC while somebody else on the
// segment, who would have said so, had it.
type Taking struct {
	At      time.Duration
	Node    string
	Segment string
	Address netip.Addr
	From    string // the other one
}

// Dispute is an address that a node and somebody else have.
type Dispute struct {
	Node, Segment string
	Address       netip.Addr
	With          string
}

// Overstay is an address that is used past its lease.
type Overstay struct {
	Node, Segment string
	Address       netip.Addr
	Since         time.Duration // grid time at which the lease was over
}

// Job is what became of a job. Whether it counted is what the AC has told the
// operator; how often it ran is what the node's disk says.
type Job struct {
	ID, Node string
	Accepted time.Duration // when the AC took it
	Started  int           // how often it was begun on the node
	// Interrupted says that g8os_core or its machine went down before the
	// operator was told: then nobody can know whether it ran to its end.
	Interrupted bool
	Told        bool // the operator was told of its end
	Lost        bool // and that it was lost
	Output      int  // pieces of output of Expected that the operator got, doubles counted
	Expected    int
}

// Event is something that happened, for the record of a run.
type Event struct {
	At   time.Duration `json:"at_ns"`
	Who  string        `json:"who"`  // a node, an AC, a segment, or the run itself
	What string        `json:"what"` // phase, fault, heal, job, invariant, check, note
	Text string        `json:"text"`
}
