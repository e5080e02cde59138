// Package delivery decides what becomes of jobs at one AC: which are handed to
// which node and when, what a node is told that it may forget, when a result
// counts.
//
//	              hand out           started            exit, and it is durable
//	queued ───────────────▶ (queued) ───────▶ running ───────────────────▶ success, error,
//	  │                        │                 │                         timeout, killed
//	  │ expired, cancelled,    │ cancelled       │ the node knows nothing
//	  ▼ refused                ▼                 ▼ of it any more: lost
//
// What all ACs know comes from the store, in the store's order: Made, Began,
// Cancelled, Turns, Done, Forgotten. What only the AC knows that has a node's
// session comes from there: Attached, Detached, Started, Output, Exit;
// from the registry: Drained and Gone. It promises:
//   - a job is handed to a node on every session until it has ended, in the
//     order of making; the node's own ledger makes that one start;
//   - of one queue a node has one job at a time, in the order of making; at
//     most MaxHanded of a node's are handed out at once; of a job with Parallel, so
//     many nodes have a turn, over all ACs; a node that goes away before it has
//     begun loses it to the next, and has one again when it is back;
//   - who waits for others and is there does not expire by that, unless the job
//     was given a time to live;
//   - output is acknowledged when it is durable here, an exit when its result is
//     in the store, and that is written after all output before it;
//   - an end that an AC decided (expired, cancelled, refused, lost) gives way to
//     the node's own word, should it come after all.
//
// It is a step function: every method takes what happened and the time, and
// returns what is to be done, in order. It is not safe for concurrent use.
package delivery

import (
	"cmp"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// MaxHanded bounds the unfinished jobs that a node is given at a time.
const MaxHanded = 64

// cancelWait is how long a node that was handed a job has to say something of
// it after a cancel. What it says later still counts.
const cancelWait = 10 * time.Second

// maxError bounds why a job failed, as the node says it, in bytes.
const maxError = 1024

// Spec is a job as it was made: it never changes.
type Spec struct {
	ID       string                `json:"id"`
	By       string                `json:"by"`
	Created  time.Time             `json:"created"`
	Expires  time.Time             `json:"expires"`
	Request  api.JobRequest        `json:"request"`
	Nodes    []api.NodeID          `json:"nodes"`
	Refused  map[api.NodeID]string `json:"refused,omitempty"` // those that were away, and why that is an end
	RetryOf  string                `json:"retry_of,omitempty"`
	Schedule string                `json:"schedule,omitempty"` // that made it
}

// Began says that a job has begun on a node.
type Began struct {
	At *time.Time `json:"at,omitempty"` // by the node's clock
	AC string     `json:"ac"`           // that was told
}

// Result is how a job has ended on a node.
type Result struct {
	State     api.JobState `json:"state"`
	Code      int          `json:"code,omitempty"`
	Error     string       `json:"error,omitempty"`
	Started   *time.Time   `json:"started,omitempty"` // by the node's clock
	Ended     *time.Time   `json:"ended,omitempty"`
	Time      time.Time    `json:"time"`          // by the AC's
	Seq       uint64       `json:"seq,omitempty"` // of the exit: its output has the numbers below
	Dropped   int64        `json:"dropped,omitempty"`
	Duplicate bool         `json:"duplicate,omitempty"`
	AC        string       `json:"ac,omitempty"`
	Decided   bool         `json:"decided,omitempty"` // by an AC, without the node's word
}

// Piece is a piece of a job's output.
type Piece struct {
	Seq    uint64
	Stream string
	Data   []byte
}

// Effect is something that is to be done. Exactly one of Frame, Piece, Result,
// Began, Turns, Unknown and Changed is set.
type Effect struct {
	Job  string
	Node api.NodeID

	Frame   *api.Frame   // send it to the node
	Piece   *Piece       // keep it; Stored when it is durable
	Result  *Result      // write it in place of what revision Over wrote (0: nothing); Done when the store says so
	Began   *Began       // write it; it may be late, and is not needed once there is a result
	Turns   []api.NodeID // write that these have a turn, in place of Over; TurnsLost when it was not so any more
	Unknown uint64       // acknowledge up to here, if there is no such job; otherwise cut the session
	Changed bool         // who looks at the job has something to see
	Over    int64
}

// Change is a change of state of a job on a node. Changes are in the store's
// order: by revision, then node.
type Change struct {
	Revision int64
	Node     api.NodeID
	State    api.JobState
}

func (c Change) order(d Change) int {
	return cmp.Or(cmp.Compare(c.Revision, d.Revision), strings.Compare(string(c.Node), string(d.Node)))
}
