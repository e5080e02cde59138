package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/ledger"
	"github.com/g8os/g8os/core/jobs/run"
	"github.com/g8os/g8os/core/jobs/spool"
)

// task is a job that runs.
type task struct {
	jobs   *Jobs
	id     string
	ctx    context.Context
	cancel context.CancelFunc

	then func() // done once the AC has the job's end; nil: nothing

	procMu sync.Mutex
	proc   *run.Process // nil: a builtin, or not yet
	left   bool

	sayMu sync.Mutex // held while a piece is numbered and kept
	read  [2]uint64  // bytes of stdout and stderr that are kept
	heed  *heed
}

// run runs a job to its end. That it has begun is kept while its shim is
// started, which waits until both is done.
func (t *task) run(req api.ExecRequest, r spool.Record) {
	j := t.jobs
	t.heed = newHeed(j, t.id)
	if req.Builtin != "" {
		j.disk(j.spool.Keep(r))
		j.begin(t.id, r.Begun)
		t.answer(req, r)
		return
	}
	step("handed out")
	kept := make(chan error, 1)
	go func() { kept <- j.spool.Keep(r) }()
	p, err := j.runner.Start(t.id, req, r.Begun)
	j.disk(<-kept)
	step("begun")
	if err == nil {
		err = p.Go()
	}
	step("started")
	if err != nil {
		code := run.CodeNotRunnable
		if refusal, is := errors.AsType[*run.Refusal](err); is {
			code = refusal.Code
		}
		t.end(r, code, err)
		return
	}
	j.begin(t.id, r.Begun)
	t.follow(p, r)
}

// answer runs a builtin to its end, unless that is for the next g8os_core.
func (t *task) answer(req api.ExecRequest, r spool.Record) {
	code, err := t.builtin(req)
	if errors.Is(err, ErrAgain) {
		return
	}
	t.end(r, code, err)
	if t.then != nil {
		go t.jobs.after(t.id, t.then)
	}
}

// after does something once the AC has the end of a job, or does not come for it.
func (j *Jobs) after(id string, do func()) {
	late := false
	timer := time.AfterFunc(thenWithin, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		late = true
		j.changed.Broadcast()
	})
	defer timer.Stop()
	j.mu.Lock()
	for _, owed := j.records[id]; owed && !late && !j.leaving; _, owed = j.records[id] {
		j.changed.Wait()
	}
	j.mu.Unlock()
	do()
}

func (j *Jobs) begin(id string, at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ledger.Begin(id, at)
	j.changed.Broadcast()
}

// follow stays with a program until its end, or until it is left.
func (t *task) follow(p *run.Process, r spool.Record) {
	t.procMu.Lock()
	t.proc = p
	left := t.left
	t.procMu.Unlock()
	if left {
		p.Leave()
	}
	p.Run(t.ctx, t.sink, func(code int, err error) { t.end(r, code, err) })
}

func (t *task) end(r spool.Record, code int, err error) {
	t.heed.end()
	err = t.jobs.down(err)
	t.jobs.end(t, r, ledger.Result{State: stateOf(code, err), Code: code, Err: err, At: time.Now()})
}

// leave has the task end: a program without its end, a builtin stopped.
func (t *task) leave() {
	t.procMu.Lock()
	defer t.procMu.Unlock()
	if t.left {
		return
	}
	t.left = true
	if t.proc != nil {
		t.proc.Leave()
		return
	}
	t.cancel()
}

// sink keeps a piece of what a program said, after waiting until the job may say
// more.
func (t *task) sink(stream byte, end uint64, data []byte) bool {
	if !t.jobs.wait(t) {
		return false
	}
	t.sayMu.Lock()
	defer t.sayMu.Unlock()
	t.read[stream-1] = end
	step("said")
	t.jobs.say(t, stream, data)
	step("said and kept")
	t.heed.take(stream, data)
	return true
}

// patience is how long a job waits for an AC that acknowledges nothing.
const patience = 2 * time.Second

// wait returns when a job may say more: as long as there is an AC that takes
// output, only what that has not taken is bounded. False: g8os_core ends.
func (j *Jobs) wait(t *task) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for !j.leaving && t.ctx.Err() == nil && j.attached && j.spool.Full(t.id) && time.Since(j.last) < patience {
		timer := time.AfterFunc(patience, j.changed.Broadcast)
		j.changed.Wait()
		timer.Stop()
	}
	return !j.leaving || t.ctx.Err() != nil
}

// say numbers a piece and keeps it, under t.sayMu.
func (j *Jobs) say(t *task, stream byte, data []byte) {
	j.mu.Lock()
	seq, ok := j.ledger.Output(t.id)
	j.mu.Unlock()
	if !ok {
		return
	}
	j.spool.Append(t.id, spool.Piece{Seq: seq, Stream: stream, Read: t.read, Data: data})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ledger.More(t.id, seq)
	j.changed.Broadcast()
}
