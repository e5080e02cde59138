package ledger

import (
	"slices"

	"github.com/g8os/g8os/core/api"
)

// outbox holds the frames of all jobs that the AC has not acknowledged yet, in
// the order in which they were made. A new session sends them again from the
// start; the AC drops what it already has by job and number.
//
//	frames   [ a1 a2 b1 a3 | b2 a4 ]
//	                       ▲ sent: what this session has sent so far
type outbox struct {
	frames []api.Frame
	sent   int
	bytes  map[string]int // unacknowledged output by job
}

func newOutbox() outbox { return outbox{bytes: map[string]int{}} }

// add appends a frame.
func (o *outbox) add(f api.Frame) {
	o.frames = append(o.frames, f)
	o.bytes[f.Job] += len(f.Data)
}

// has says whether a frame of a job is not acknowledged yet.
func (o *outbox) has(job string, seq uint64) bool {
	return slices.ContainsFunc(o.frames, func(f api.Frame) bool { return f.Job == job && f.Seq == seq })
}

// next returns the next frame that this session has not sent.
func (o *outbox) next() (api.Frame, bool) {
	if o.sent == len(o.frames) {
		return api.Frame{}, false
	}
	f := o.frames[o.sent]
	o.sent++
	return f, true
}

// rewind begins a new session: everything that is not acknowledged goes again.
func (o *outbox) rewind() { o.sent = 0 }

// ack forgets the frames of a job up to seq.
func (o *outbox) ack(job string, seq uint64) {
	kept := o.frames[:0]
	sent := o.sent
	for i, f := range o.frames {
		if f.Job != job || f.Seq > seq {
			kept = append(kept, f)
			continue
		}
		o.bytes[job] -= len(f.Data)
		if i < o.sent {
			sent--
		}
	}
	o.frames, o.sent = slices.Clip(kept), sent
	if o.bytes[job] <= 0 {
		delete(o.bytes, job)
	}
}

// full says whether a job has as much unacknowledged output as it may have.
func (o *outbox) full(job string) bool { return o.bytes[job] >= MaxUnacked }

// MaxUnacked bounds the unacknowledged output of one job, in bytes. A job that
// reaches it waits: its pipe fills up, as it would before a slow terminal.
const MaxUnacked = 1 << 20
