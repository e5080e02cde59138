package enrol

// Mode is what happens to a machine that the AC has never seen.
type Mode string

// The modes. Anything else counts as ModeApprove: a mistake lets nobody in. A
// join token is an approval in advance, and counts in every mode.
const (
	ModeOpen    Mode = "open"    // first come is enrolled, its device key pinned
	ModeApprove Mode = "approve" // it waits until an operator has compared the fingerprint
	ModeToken   Mode = "token"   // without a join token it is refused, and leaves no record
)

// Policy is what the operator decided about enrolment.
type Policy struct {
	Mode       Mode
	MaxPending int // most records that wait for approval; 0: 1000. More are refused without a record
	MaxNodes   int // most records, so that strangers cannot fill the store; 0: 25 000. More are refused without a record
}

// full says whether there is no room for one more record.
func (p Policy) full(nodes int) bool {
	most := p.MaxNodes
	if most == 0 {
		most = 25_000
	}
	return nodes >= most
}

func (p Policy) room(pending int) bool {
	most := p.MaxPending
	if most == 0 {
		most = 1000
	}
	return pending < most
}

// Limits bounds what one source, and one record, can ask for.
type Limits struct {
	SourceRate  float64 // requests a second from one address (IPv6: one /64), on average
	SourceBurst int     // requests at once
	RecordRate  float64 // requests a second for one node, on average
	RecordBurst int
	BadProofs   int // bad proofs for one node before it is locked
	LockSeconds int // how long; bad proofs are forgotten after as long without one
	MaxTracked  int // most sources, and most nodes, remembered; the least recently used goes
}

// DefaultLimits lets a node climb (three requests) every two seconds, a rack behind one address
// start at once, and nobody guess.
func DefaultLimits() Limits {
	return Limits{
		SourceRate: 20, SourceBurst: 200, RecordRate: 2, RecordBurst: 20,
		BadProofs: 10, LockSeconds: 300, MaxTracked: 10_000,
	}
}
