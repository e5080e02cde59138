package ledger

import (
	"slices"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/planted"
)

// Attach begins a session and returns its number: it alone takes frames from
// now on, and gets all that are not acknowledged.
func (l *Ledger) Attach() int {
	l.session++
	l.small, l.loud = nil, nil
	l.events.sent = 0
	for _, j := range l.open {
		j.queued, j.saidBegun = false, false
		j.flight, j.flying = nil, 0
		if !planted.Is(planted.ResultsOnce) {
			j.sent = j.acked
		}
		l.enqueue(j)
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

// want is what a job would send next.
func (j *job) want() api.FrameType {
	switch {
	case j.phase == running && !j.saidBegun:
		return api.FrameStarted
	case j.sent < j.spoken():
		if j.flying < Window {
			return api.FrameOutput
		}
	case j.phase == ended && j.safe && j.sent < j.exit.Seq:
		return api.FrameExit
	}
	return ""
}

// spoken is the number of a job's last piece of output.
func (j *job) spoken() uint64 {
	if j.phase == ended {
		return j.exit.Seq - 1
	}
	return j.last
}

// enqueue gives a job its turn, if it has something to send. Ends and
// beginnings go before output; of output, jobs send a piece each in turn.
func (l *Ledger) enqueue(j *job) {
	if j.queued || j.told {
		return
	}
	switch j.want() {
	case "":
	case api.FrameOutput:
		j.queued = true
		l.loud = append(l.loud, j)
	default:
		j.queued = true
		l.small = append(l.small, j)
	}
}

// Next returns the next frame for a session to send; false when there is none
// now, or it is not its turn. Of output it says only the job and the lowest
// number: the first piece from there on is to be sent, and Sent to be told
// before Next is called again.
func (l *Ledger) Next(session int) (api.Frame, bool) {
	if !l.Attached(session) {
		return api.Frame{}, false
	}
	if f, ok := l.events.next(); ok {
		return f, true
	}
	for _, queue := range []*[]*job{&l.small, &l.loud} {
		for len(*queue) > 0 {
			j := (*queue)[0]
			*queue = (*queue)[1:]
			j.queued = false
			if f, ok := j.frame(); ok {
				if f.Type != api.FrameOutput {
					l.enqueue(j)
				}
				return f, true
			}
		}
	}
	return api.Frame{}, false
}

// frame is what a job sends now. It may have lost what it was queued for.
func (j *job) frame() (api.Frame, bool) {
	switch j.want() {
	case api.FrameStarted:
		j.saidBegun = true
		return j.begun, true
	case api.FrameOutput:
		return api.Frame{Type: api.FrameOutput, Job: j.id, Seq: j.sent + 1}, true
	case api.FrameExit:
		j.sent = j.exit.Seq
		return j.exit, true
	}
	return api.Frame{}, false
}

// Sent tells what a session has sent of a job's output: the piece with a number
// and size bytes. Where there was none any more, size is 0 and seq is that
// before the next piece there is; at most the number of the last piece counts.
func (l *Ledger) Sent(session int, id string, seq uint64, size int) {
	j := l.jobs[id]
	if j == nil || j.told || !l.Attached(session) {
		return
	}
	seq = min(seq, j.spoken())
	if seq > j.sent {
		j.sent = seq
		if size > 0 && seq > j.acked {
			j.flight = append(j.flight, piece{seq, size + pieceCost})
			j.flying += size + pieceCost
		}
	}
	l.enqueue(j)
}

// Ack takes the AC's word that it has the frames of a job up to seq safe. told
// says that this was the last the AC lacked: the spool may forget what the job
// said.
func (l *Ledger) Ack(id string, seq uint64) (told bool) {
	j := l.jobs[id]
	if j == nil || j.told || seq <= j.acked {
		return false
	}
	j.acked = min(seq, j.last)
	j.sent = max(j.sent, j.acked)
	n := 0
	for n < len(j.flight) && j.flight[n].seq <= j.acked {
		j.flying -= j.flight[n].cost
		n++
	}
	j.flight = j.flight[n:]
	if j.phase != ended || j.acked < j.exit.Seq {
		l.enqueue(j)
		return false
	}
	j.told, j.flight = true, nil
	l.open = slices.DeleteFunc(l.open, func(x *job) bool { return x == j })
	l.told = append(l.told, j)
	return true
}

// Acked is the number up to which the AC has a job's frames.
func (l *Ledger) Acked(id string) uint64 {
	if j := l.jobs[id]; j != nil {
		return j.acked
	}
	return 0
}
