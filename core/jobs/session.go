package jobs

import (
	"math"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Attach begins a session: it alone takes frames from now on, and gets all that
// are not acknowledged.
func (j *Jobs) Attach() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.changed.Broadcast()
	j.attached, j.last = true, time.Now()
	return j.ledger.Attach()
}

// Detach ends a session's turn, so that its Take returns.
func (j *Jobs) Detach(session int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ledger.Attached(session) {
		j.attached = false
	}
	j.ledger.Detach(session)
	j.changed.Broadcast()
}

// Take waits for the next frame that the session is to send; false when its turn
// is over. The frame's Data is a part of buf, if that has room for
// api.MaxPiece.
func (j *Jobs) Take(session int, buf []byte) (api.Frame, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.ledger.Attached(session) {
		f, ok := j.ledger.Next(session)
		switch {
		case !ok:
			j.changed.Wait()
		case f.Type != api.FrameOutput:
			return f, true
		default:
			if f, ok = j.piece(session, f, buf); ok {
				return f, true
			}
		}
	}
	return api.Frame{}, false
}

var streams = [...]string{1: "stdout", 2: "stderr"}

// piece reads the output that a frame is to carry. It leaves j.mu meanwhile.
func (j *Jobs) piece(session int, f api.Frame, buf []byte) (api.Frame, bool) {
	j.mu.Unlock()
	p, ok := j.spool.Read(f.Job, f.Seq, buf)
	j.mu.Lock()
	if !ok || int(p.Stream) >= len(streams) || p.Stream == 0 {
		j.ledger.Sent(session, f.Job, math.MaxUint64, 0)
		return f, false
	}
	j.ledger.Sent(session, f.Job, p.Seq, len(p.Data))
	f.Seq, f.Stream, f.Data, f.Dropped = p.Seq, streams[p.Stream], p.Data, p.Dropped
	return f, true
}

// Ack takes the AC's word that it has the frames of a job up to seq, or, without
// a job, the events.
func (j *Jobs) Ack(job string, seq uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = time.Now()
	defer j.changed.Broadcast()
	if job == "" {
		if j.spool != nil {
			j.spool.ForgetEvents(j.ledger.AckEvents(seq))
		}
		return
	}
	if !j.ledger.Ack(job, seq) {
		if j.spool != nil {
			j.spool.Ack(job, j.ledger.Acked(job))
		}
		return
	}
	r := j.records[job]
	delete(j.records, job)
	r.Told = true
	j.spool.Told(r)
	j.spool.Forget(j.ledger.Forget(j.last))
}
