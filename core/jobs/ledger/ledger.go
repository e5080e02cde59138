// Package ledger is what a node decides about its jobs and events: which job is
// run, what of it the AC still lacks, and whose turn it is to be sent.
//
// It promises that a job that is handed out again runs once, as far as it is
// remembered; that what a job said is sent, in order, until the AC acknowledges
// it, over any number of sessions; that a result is not sent before its keeper
// says that it is safe on the disk, and is sent until it is acknowledged; that a
// loud job keeps no other waiting for more than one piece; and that the same
// calls give the same frames. It holds no output, only numbers: the spool keeps
// the pieces. It runs nothing, stores nothing, sends nothing and waits for
// nothing: core/jobs does. It is for one goroutine at a time.
//
//	unknown ──HandOut──▶ starting ──Begin──▶ running ──End──▶ ended ──Safe, Ack──▶ told ──▶ forgotten
//	   └───────HandOut of what had begun before the disk was lost: lost────▲
package ledger

import (
	"errors"
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/planted"
)

// Decision is what to do about a job that was handed out.
type Decision string

// The decisions. Start and Lost want something done.
const (
	Start   Decision = "start"   // keep that it has begun, call Begin, run it, and tell Output and End of it
	Running Decision = "running" // it runs already
	Ended   Decision = "ended"   // it has run; what it said is being sent or was acknowledged
	Lost    Decision = "lost"    // it began, and the disk that knew of it was lost: End has been called, keep it and call Safe
)

const (
	// Remembered is how many jobs whose end the AC has are remembered, so that
	// one that is handed out again does not run again; Age is for how long.
	Remembered = 10_000
	Age        = 30 * 24 * time.Hour
	// Window bounds what is on its way to the AC of one job, in bytes: of what is
	// not durable there. A disk that takes 20 ms for that gets 150 MB/s.
	Window = 3 << 20
	// pieceCost is what a piece counts beside its bytes.
	pieceCost = 256
	// maxError bounds why a job could not be run, in bytes: it may quote the
	// command, and a frame that is too long would end this session and every
	// next one.
	maxError = 1024
	// codeLost is the exit code of a job of which nobody knows how it ended.
	codeLost = 255
)

// ErrLost is why a job ended of which nobody knows how it did.
var ErrLost = errors.New("it began, and what became of it is not known: the power or the disk of the node was lost meanwhile")

var errCancelled = errors.New("cancelled before it began")

// Ledger knows a node's jobs and events. They belong to the node: they outlive
// sessions.
type Ledger struct {
	jobs    map[string]*job
	open    []*job // those that are not told, in the order in which they came
	told    []*job // those that are, in the order in which that happened
	small   []*job // have a started or exit frame to send now
	loud    []*job // have output to send now
	events  events
	session int // the one that may take frames
}

type phase int

const (
	starting phase = iota
	running
	ended
)

// job is one job. Its frames have the numbers 1 to last; those up to acked are
// safe at the AC, those up to sent have gone into this session.
type job struct {
	id                string
	phase             phase
	last, acked, sent uint64
	flight            []piece // sent in this session and not acknowledged
	flying            int
	begun             api.Frame // FrameStarted, and whether this session has heard it
	saidBegun         bool
	exit              api.Frame
	safe              bool // the exit is on the disk
	told              bool // and at the AC
	earlier           bool // it is known from an earlier run of g8os_core
	queued            bool // it is in small or loud
}

type piece struct {
	seq  uint64
	cost int
}

// New returns a Ledger without jobs and without a session. Its first event has
// the number after lastEvent.
func New(lastEvent uint64) *Ledger {
	return &Ledger{jobs: map[string]*job{}, events: events{last: lastEvent, safe: lastEvent}}
}

// HandOut takes a job from the AC. have is the number of the last frame that
// the AC has of it, began whether it heard that the job has begun: one that has
// spoken or begun but is not known here was lost with this node's disk, and must
// not run twice. An AC that asks for a job that has ended is told of its end
// again.
func (l *Ledger) HandOut(id string, have uint64, began bool, now time.Time) Decision {
	j := l.jobs[id]
	switch {
	case j == nil || j.phase == ended && planted.Is(planted.JobForgotten):
		j = l.keep(&job{id: id, last: have, acked: have, sent: have})
		if have == 0 && !began || planted.Is(planted.JobForgotten) {
			return Start
		}
		l.End(id, Result{State: api.JobLost, Code: codeLost, Err: ErrLost, At: now})
		j.exit.Again = true
		return Lost
	case j.phase != ended:
		j.saidBegun = false
		l.enqueue(j)
		return Running
	}
	if planted.Is(planted.ResultsOnce) {
		return Ended
	}
	if have >= j.exit.Seq { // numbers of output were lost with the power
		j.exit.Seq, j.last = have+1, have+1
	}
	j.exit.Again = j.exit.Again || j.told || j.earlier
	if j.told {
		l.told = slices.DeleteFunc(l.told, func(x *job) bool { return x == j })
		l.open = append(l.open, j)
		j.acked, j.sent, j.told = j.exit.Seq-1, j.exit.Seq-1, false
	}
	l.enqueue(j)
	return Ended
}

func (l *Ledger) keep(j *job) *job {
	l.jobs[j.id] = j
	l.open = append(l.open, j)
	return j
}

// Begin tells that a job that was to start is on the disk as begun, and starts
// now: the AC is told.
func (l *Ledger) Begin(id string, at time.Time) {
	if j := l.jobs[id]; j != nil && j.phase == starting {
		j.phase = running
		j.begun = api.Frame{Type: api.FrameStarted, Job: id, Time: &at}
		l.enqueue(j)
	}
}

// Cancel takes the AC's word that a job is not wanted. One that was never handed
// out has ended with it, and its end is to be kept; any other is for the runner.
func (l *Ledger) Cancel(id string, now time.Time) (exit api.Frame, unknown bool) {
	if l.jobs[id] != nil {
		return api.Frame{}, false
	}
	l.keep(&job{id: id})
	return l.End(id, Result{State: api.JobCancelled, Err: errCancelled, At: now}), true
}

// Runs says whether a job was handed out and has not ended.
func (l *Ledger) Runs(id string) bool {
	j := l.jobs[id]
	return j != nil && j.phase != ended
}

// Running counts the jobs that run.
func (l *Ledger) Running() (n int) {
	for _, j := range l.open {
		if j.phase != ended {
			n++
		}
	}
	return n
}

// Output numbers a piece of a running job's output, which the spool keeps under
// it; More tells when it has. What a job says that has ended (a daemon that it
// left behind) is dropped: its exit is its last frame.
func (l *Ledger) Output(id string) (seq uint64, ok bool) {
	j := l.jobs[id]
	if j == nil || j.phase == ended {
		return 0, false
	}
	return j.last + 1, true
}

// More tells that the pieces of a job up to seq can be sent.
func (l *Ledger) More(id string, seq uint64) {
	if j := l.jobs[id]; j != nil && j.phase != ended && seq > j.last {
		j.last = seq
		l.enqueue(j)
	}
}

// Result is how a job has ended.
type Result struct {
	State   api.JobState
	Code    int   // 128+n after signal n
	Err     error // why it could not be run or was stopped, or nil
	At      time.Time
	Dropped int64 // bytes of output that were too many to keep
}

// End takes the end of a job that has not ended, and returns it as it will be
// sent once it is Safe.
func (l *Ledger) End(id string, r Result) api.Frame {
	j := l.jobs[id]
	j.last++
	j.exit = api.Frame{
		Type: api.FrameExit, Job: id, Seq: j.last, State: r.State, Code: r.Code, Time: &r.At, Dropped: r.Dropped,
	}
	if r.Err != nil {
		j.exit.Error = api.Shown(r.Err.Error(), maxError)
	}
	j.phase = ended
	return j.exit
}

// Exit is the end of a job that has ended.
func (l *Ledger) Exit(id string) api.Frame { return l.jobs[id].exit }

// Safe tells that the end of a job is on the disk.
func (l *Ledger) Safe(id string) {
	if j := l.jobs[id]; j != nil && j.phase == ended {
		j.safe = true
		l.enqueue(j)
	}
}

// Restored is a job that an earlier run of g8os_core knew.
type Restored struct {
	ID      string
	Last    uint64    // number of its last piece of output that was kept; 0: none
	Acked   uint64    // number up to which the AC has it
	Started time.Time // zero: it had not been started
	Exit    api.Frame // Type is empty: it runs, or was to start
	Told    bool      // the AC has its exit
}

// Restore takes in a job from an earlier run, before the first session. One
// that had not been started is as good as unknown: it is started when it is
// handed out.
func (l *Ledger) Restore(r Restored) {
	j := &job{id: r.ID, last: r.Last, acked: r.Acked, sent: r.Acked, earlier: true}
	switch {
	case r.Exit.Type != "":
		j.phase, j.exit, j.safe, j.told = ended, r.Exit, true, r.Told
		j.last = r.Exit.Seq
	case !r.Started.IsZero():
		j.phase, j.begun = running, api.Frame{Type: api.FrameStarted, Job: r.ID, Time: &r.Started}
	default:
		return
	}
	if j.told {
		j.acked, j.sent = j.last, j.last
		l.jobs[r.ID] = j
		l.told = append(l.told, j)
		return
	}
	l.enqueue(l.keep(j))
}

// Forget removes the jobs that need not be remembered any more, and returns
// their ids.
func (l *Ledger) Forget(now time.Time) (ids []string) {
	n := max(0, len(l.told)-Remembered)
	for n < len(l.told) && now.Sub(*l.told[n].exit.Time) > Age {
		n++
	}
	for _, j := range l.told[:n] {
		delete(l.jobs, j.id)
		ids = append(ids, j.id)
	}
	l.told = slices.Delete(l.told, 0, n)
	return ids
}
