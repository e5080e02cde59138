// Package ledger is what a session and its jobs decide: which job is run, what
// of it the AC still lacks, whose turn it is to send, and when a silent AC is
// dead.
//
// It promises that a job that is handed out twice runs once, as far as it is
// remembered; that what a job said is sent, in order, until the AC acknowledges
// it, over any number of sessions; and that the same calls give the same
// frames. It runs nothing, sends nothing and waits for nothing: core/managed
// does. It is for one goroutine at a time.
package ledger

import (
	"errors"
	"slices"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/planted"
)

// Decision is what to do about a job that was handed out.
type Decision string

// The decisions. Only Start wants something done.
const (
	Start   Decision = "start"   // run it, and tell Output and End of it
	Running Decision = "running" // it runs already
	Ended   Decision = "ended"   // it has run; what it said is being sent or was acknowledged
	Lost    Decision = "lost"    // it began before g8os_core was started again: its end is told, as not known
)

const (
	// keepEnded is how many ended jobs are remembered, so that a job that is
	// handed out twice runs once.
	keepEnded = 1000
	// maxError bounds why a job could not be run, in bytes: it may quote the
	// command, and a frame that is too long would end this session and every
	// next one.
	maxError = 1024
	// codeLost is the exit code of a job of which nobody knows how it ended.
	codeLost = 255
)

var errLost = errors.New("g8os_core was started again while the job ran; whether it ended is not known")

// Ledger knows a node's jobs and the frames that the AC lacks. Jobs belong to
// the node: they outlive sessions.
type Ledger struct {
	out     outbox
	running map[string]uint64 // the number of each job's last frame
	ended   []api.Frame       // the exits of those that have, oldest first
	session int               // the one that may take frames
}

// New returns a Ledger without jobs and without a session.
func New() *Ledger { return &Ledger{out: newOutbox(), running: map[string]uint64{}} }

// HandOut takes a job from the AC. have is the number of the last frame that
// the AC has of it: a job that has spoken but is not known here was cut off
// when g8os_core ended, and must not run twice. An AC that was started again
// while its node was away acknowledges what it does not know; one that then asks
// for a job that has ended is at least told of its end again.
func (l *Ledger) HandOut(job string, have uint64) Decision {
	if l.Runs(job) {
		return Running
	}
	at := slices.IndexFunc(l.ended, func(exit api.Frame) bool { return exit.Job == job })
	if at >= 0 && !planted.Is(planted.JobForgotten) {
		if exit := l.ended[at]; have < exit.Seq && !l.out.has(job, exit.Seq) {
			l.out.add(exit)
		}
		return Ended
	}
	l.running[job] = have
	if have > 0 {
		l.End(job, codeLost, errLost)
		return Lost
	}
	return Start
}

// Runs says whether a job was started and has not ended.
func (l *Ledger) Runs(job string) bool {
	_, runs := l.running[job]
	return runs
}

// Full says whether a job has to wait before it says more.
func (l *Ledger) Full(job string) bool { return l.out.full(job) }

// Output adds a piece of a running job's output. The data is not copied. What a
// job says that has ended (a daemon that it left behind) is dropped: its exit
// is its last frame.
func (l *Ledger) Output(job, stream string, data []byte) {
	if !l.Runs(job) {
		return
	}
	l.add(api.Frame{Type: api.FrameOutput, Job: job, Stream: stream, Data: data})
}

// End adds the end of a running job, and returns it as it will be sent. why is
// nil, or says why the job could not be run or was stopped.
func (l *Ledger) End(job string, code int, why error) api.Frame {
	f := api.Frame{Type: api.FrameExit, Job: job, Code: code}
	if why != nil {
		f.Error = api.Shown(why.Error(), maxError)
	}
	f = l.add(f)
	delete(l.running, job)
	l.ended = append(l.ended, f)
	if len(l.ended) > keepEnded {
		l.ended = slices.Delete(l.ended, 0, len(l.ended)-keepEnded)
	}
	return f
}

func (l *Ledger) add(f api.Frame) api.Frame {
	l.running[f.Job]++
	f.Seq = l.running[f.Job]
	l.out.add(f)
	return f
}

// Ack forgets the frames of a job up to seq: the AC has them safe.
func (l *Ledger) Ack(job string, seq uint64) { l.out.ack(job, seq) }

// Attach begins a session and returns its number: it alone takes frames from
// now on, and gets all that are not acknowledged.
func (l *Ledger) Attach() int {
	l.session++
	if !planted.Is(planted.ResultsOnce) {
		l.out.rewind()
	}
	return l.session
}

// Detach ends a session's turn. One that another has followed has none.
func (l *Ledger) Detach(session int) {
	if l.Attached(session) {
		l.session++
	}
}

// Attached says whether it is a session's turn.
func (l *Ledger) Attached(session int) bool { return l.session == session }

// Next returns the next frame for a session to send; false when there is none
// now, or it is not its turn.
func (l *Ledger) Next(session int) (api.Frame, bool) {
	if !l.Attached(session) {
		return api.Frame{}, false
	}
	return l.out.next()
}
