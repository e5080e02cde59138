// Package jobs runs what the AC asks for, and keeps the AC told.
//
// It promises that a job runs once, as far as the node's disk survives: that it
// has begun is on the disk before it does, and handed out again it goes on, or
// its end is told again; that its result is on the disk before it is sent, and
// sent until the AC has it; that programs outlive g8os_core, and the next one
// goes on with them; and that what a job says is kept, bounded, until the AC has
// it. Jobs belong to the node, not to a session.
//
//	core/jobs/ledger   decides          core/jobs/run     programs
//	core/jobs/spool    the disk         core/jobs/inband  levels in what they say
//
// It does not speak with the AC: core/managed does.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/ledger"
	"github.com/g8os/g8os/core/jobs/run"
	"github.com/g8os/g8os/core/jobs/spool"
)

// Options of Jobs. Log must be set.
type Options struct {
	Spool    string          // folder; empty: nothing is kept on a disk
	RunDir   string          // folder for what runs; gone after a reboot
	Env      func() []string // what every program finds in its environment; nil: nothing
	Limits   spool.Limits    // zero: spool.DefaultLimits
	Builtins map[api.Builtin]Builtin
	// After says how a builtin ended that ran when g8os_core did; known is false
	// when nobody can tell. nil: nobody can.
	After func(b api.Builtin, rebooted bool) (code int, err error, known bool)
	Log   *slog.Logger
}

// Jobs are a node's jobs and events. All methods may be called concurrently.
type Jobs struct {
	opt    Options
	log    *slog.Logger
	runner *run.Runner
	spool  *spool.Spool
	boot   string          // names this start of the machine
	early  []api.NodeEvent // noted before Open

	mu       sync.Mutex
	changed  *sync.Cond // something is to be sent, was acknowledged, or a session has begun or ended
	ledger   *ledger.Ledger
	tasks    map[string]*task        // those that run
	records  map[string]spool.Record // of those that the AC is not told of
	attached bool                    // there is a session
	ending   bool                    // the machine goes down: nothing is begun
	last     time.Time               // when the AC acknowledged something
	order    uint64
	leaving  bool
	faulty   bool // the disk took something no more, and that was said
	done     sync.WaitGroup
	closed   sync.Once
}

// New returns Jobs that take none before Open. Events may be noted.
func New(o Options) *Jobs {
	j := &Jobs{
		opt: o, log: o.Log, ledger: ledger.New(0),
		tasks: map[string]*task{}, records: map[string]spool.Record{},
	}
	j.changed = sync.NewCond(&j.mu)
	return j
}

// Start runs a job, unless it runs, has run or is lost. have is the number of
// the last frame that the AC has of it, began says whether the AC has heard that
// it has begun.
func (j *Jobs) Start(id string, req api.ExecRequest, have uint64, began bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.spool == nil || j.leaving || j.ending {
		return // the AC asks again
	}
	now := time.Now()
	decision := j.ledger.HandOut(id, have, began, now)
	j.changed.Broadcast()
	if decision != ledger.Start {
		j.log.Info("job handed out again", "job", id, "it_is", decision)
	}
	switch decision {
	case ledger.Start:
		j.launch(id, req, now)
	case ledger.Lost:
		r, exit := j.record(id, now), j.ledger.Exit(id)
		j.done.Go(func() { j.keep(r, exit) })
	}
}

// record is what is kept of a job, under j.mu.
func (j *Jobs) record(id string, now time.Time) spool.Record {
	r, known := j.records[id]
	if !known {
		r = spool.Record{ID: id, Boot: j.boot, Begun: now}
		j.records[id] = r
	}
	return r
}

// launch begins a job in a goroutine of its own, under j.mu.
func (j *Jobs) launch(id string, req api.ExecRequest, now time.Time) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{jobs: j, id: id, ctx: ctx, cancel: cancel}
	j.tasks[id] = t
	r := j.record(id, now)
	r.Builtin = req.Builtin
	if req.Builtin.Again() {
		r.Args = req.Args
	}
	j.records[id] = r
	// Arguments may be secret, and logs travel: the command's name is enough.
	j.log.Info("job started", "job", id, "command", command(req), "arguments", max(0, len(req.Argv)-1))
	j.done.Go(func() {
		defer cancel()
		t.run(req, r)
	})
}

func command(req api.ExecRequest) string {
	switch {
	case req.Builtin != "":
		return string(req.Builtin)
	case len(req.Script) > 0:
		return "script"
	case len(req.Argv) > 0:
		return req.Argv[0]
	}
	return ""
}

// end takes the end of a job, has it kept and then sent.
func (j *Jobs) end(t *task, r spool.Record, result ledger.Result) {
	j.mu.Lock()
	result.Dropped = j.spool.Dropped(t.id)
	exit := j.ledger.End(t.id, result)
	delete(j.tasks, t.id)
	j.mu.Unlock()
	j.log.Info("job ended", "job", t.id, "state", exit.State, "code", exit.Code, "error", exit.Error)
	j.keep(r, exit)
}

// step is told between which steps of a job's life g8os_core is; tests end there.
var step = func(string) {}

// keep has an end on the disk, and lets it be sent. A disk that takes nothing
// keeps nobody from hearing of it.
func (j *Jobs) keep(r spool.Record, exit api.Frame) {
	j.mu.Lock()
	j.order++
	r.Exit, r.Order = &exit, j.order
	j.records[r.ID] = r
	j.mu.Unlock()
	step("ended")
	j.disk(j.spool.Keep(r))
	step("end kept")
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ledger.Safe(r.ID)
	j.changed.Broadcast()
}

// disk says, once, that the disk takes nothing, and that it does again.
func (j *Jobs) disk(err error) {
	if err == nil {
		err = j.spool.Fault()
	}
	j.mu.Lock()
	was := j.faulty
	j.faulty = err != nil
	j.mu.Unlock()
	switch {
	case err != nil && !was:
		j.log.Error("the disk does not take what is to be kept of jobs: it stays in memory, and a power cut would lose it", "error", err)
		j.Note(api.LevelOpsError, "core", "the disk does not take what is to be kept of jobs: "+err.Error(), nil)
	case err == nil && was:
		j.log.Info("the disk takes what is to be kept of jobs again")
	}
}

// Cancel stops a job. One that is not known is kept as cancelled, and not run
// when it comes later.
func (j *Jobs) Cancel(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.tasks[id]; t != nil {
		t.cancel()
		return
	}
	if j.spool == nil || j.leaving {
		return
	}
	now := time.Now()
	if exit, unknown := j.ledger.Cancel(id, now); unknown {
		r := j.record(id, now)
		j.done.Go(func() { j.keep(r, exit) })
	}
}

// Running counts the jobs that run.
func (j *Jobs) Running() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.tasks)
}

// CancelAll stops every job and waits for their ends, up to the grace that a
// job gets. It is for a machine that goes off.
func (j *Jobs) CancelAll() {
	j.mu.Lock()
	j.leaving = true
	for _, t := range j.tasks {
		t.cancel()
	}
	j.changed.Broadcast()
	j.mu.Unlock()
	j.finish()
}

// Leave ends what must not outlive g8os_core, and leaves the programs of jobs to
// the next one. Nothing is taken after it.
func (j *Jobs) Leave() {
	j.mu.Lock()
	j.leaving = true
	for _, t := range j.tasks {
		t.leave()
	}
	j.changed.Broadcast()
	j.mu.Unlock()
	j.finish()
}

func (j *Jobs) finish() {
	j.done.Wait()
	j.mu.Lock()
	s, r := j.spool, j.runner
	j.mu.Unlock()
	if s != nil {
		j.closed.Do(func() { s.Close(); r.Close() })
	}
}

// codeLost is the exit code of a job of which nobody knows how it ended.
const codeLost = 255

var errInterrupted = errors.New("g8os_core was started again while it ran; what it had done by then is not known")

func stateOf(code int, err error) api.JobState {
	switch {
	case errors.Is(err, run.ErrTimeout):
		return api.JobTimeout
	case errors.Is(err, run.ErrCancelled), errors.Is(err, run.ErrKilled):
		return api.JobKilled
	case err != nil:
		return api.JobError
	case code == 0:
		return api.JobSuccess
	case code > codeSignal && code <= codeSignal+64:
		return api.JobKilled // by a signal: a shell says so in this way
	}
	return api.JobError
}

const codeSignal = 128
