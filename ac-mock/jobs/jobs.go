// Package jobs is the durable queue of jobs of an AC: commands for nodes, which
// wait for those that are away, and what became of them. It is the shell around
// package delivery, which decides; package output keeps what jobs say.
//
//	operator ── Make, Cancel ──▶ store ── news ──▶ Queue of every AC
//	                               ▲                 │ hand out, acknowledge
//	                        results│                 ▼
//	                             Queue ◀─ frames ─ session of the node, at one AC
//	                               │ output
//	                               ▼
//	                      files of that AC ──▶ Follow, at any AC
//
// It promises: a job that Make has returned is durable, and so is a result that
// a node was acknowledged; any AC takes jobs, and the one that has a node's
// session hands them out; an AC that dies loses neither, and the node goes on at
// another one; nothing but the store and the output's files is kept: to drop a
// Queue is a crash. An AC acts upon what it hears back from the store, also of
// its own writes, so that all ACs see one order. Many writes are one transaction.
// Output is where its node was when it said it: without that AC it is missing
// until that one is back, and a stream says so.
//
// Keys in the store (JOB is an id, NODE too):
//
//	jobs/spec/JOB     delivery.Spec: written once; with it the job is made
//	jobs/began/JOB/NODE  delivery.Began: a while after it has begun, if it has not ended by then
//	jobs/done/JOB/NODE   delivery.Result: the end of it there
//	jobs/cancel/JOB, jobs/cancel/JOB/NODE  that it is to be stopped, everywhere or there
//	jobs/turn/JOB     the nodes that have a turn, of a job with Parallel
//
// What waits for a node is what its jobs' specs name it in and no done says the
// end of: a fan-out to all nodes is one write.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Errors of what an operator asks for. Others are of the store.
var (
	ErrUnknown = errors.New("no such job")
	ErrTaken   = errors.New("the job id is taken")
	ErrState   = errors.New("the job's state does not allow it")
	ErrFull    = errors.New("too many jobs wait")
)

// Output keeps what jobs say (package output).
type Output interface {
	Append([]output.Piece) error
	Last(job string) (map[api.NodeID]uint64, error)
	Read(job string, from int64, take func(p output.Piece, next int64) error) (next, dropped int64, err error)
	Remove(job string) error
	Jobs() []string
}

// Session is a node's session with this AC. Its methods do not block, and call
// no Queue.
type Session interface {
	Send(api.Frame)
	Cut(why string)
}

// Bounds of a Queue.
type Bounds struct {
	Waiting int           // most unfinished jobs, each counted for each node
	Jobs    int           // most jobs remembered that have ended
	Results int           // most results remembered
	Keep    time.Duration // how long ended jobs are remembered
	Untaken int           // bytes of a node's output that wait to be durable, before its session is not read
}

// DefaultBounds fit an AC with some GiB of memory.
var DefaultBounds = Bounds{Waiting: 100_000, Jobs: 20_000, Results: 400_000, Keep: 7 * 24 * time.Hour, Untaken: 4 << 20}

// Options of a Queue. What is not said to have a default must be set.
type Options struct {
	Store  store.Store
	Output Output
	AC     string // name of this one
	// Entry makes the write that audits an operator's deed, and Noted is called
	// when it was carried out.
	Entry func(actor, action string, node api.NodeID, detail string) (store.Op, error)
	Noted func()
	Name  func(api.NodeID) string // of a node, to be shown

	Drained   func(api.NodeID) bool // whether a node is to begin no command; Drain after a change; default: none is
	Elsewhere func(api.NodeID) bool // whether a node has a session with another AC; default: none has
	Leads     func() bool           // whether this AC tidies up; default: it does
	Peers     Peers                 // other ACs; default: there are none
	Bounds    Bounds                // default DefaultBounds
	Clock     func() time.Time      // default time.Now
	Log       *slog.Logger          // default: none
}

// Queue is one AC's. Its methods may be called concurrently.
type Queue struct {
	o       Options
	inline  bool // nothing happens on its own: the caller settles
	more    chan struct{}
	pieces  chan struct{}
	wonders chan struct{}
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	m        *delivery.Machine
	sessions map[api.NodeID]Session
	revision int64         // of the store, up to which the news were taken
	reached  chan struct{} // closed and replaced when it grows
	watchers map[string]map[chan struct{}]bool
	said     []output.Piece // that are to be made durable
	untaken  map[api.NodeID]int
	taken    *sync.Cond // untaken has shrunk
	queue    []*write
	began    map[runKey]*write // those in queue that a result makes superfluous
	strange  map[runKey]uint64 // jobs that nobody knows, by who speaks of them
	orphans  map[string]bool   // keys of jobs that there are not
	drop     []string          // jobs whose output goes
}

type runKey struct {
	job  string
	node api.NodeID
}

// Open loads the queue and follows the store.
func Open(ctx context.Context, o Options) (*Queue, error) {
	q, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	q.inline = false
	run, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	q.wg.Go(func() { q.follow(run) })
	q.wg.Go(func() { q.writes(run) })
	q.wg.Go(func() { q.appends(run) })
	q.wg.Go(func() { q.lookUps(run) })
	q.wg.Go(func() { q.ticks(run) })
	return q, nil
}

// New loads the queue and does nothing on its own, as registry.New does not: the
// caller hands in the store's news (Take, Reload), and calls Tick in time and
// Settle after whatever may have changed something.
func New(ctx context.Context, o Options) (*Queue, error) {
	q := &Queue{
		o: o.withDefaults(), inline: true, more: make(chan struct{}, 1), pieces: make(chan struct{}, 1), wonders: make(chan struct{}, 1), cancel: func() {},
		sessions: map[api.NodeID]Session{}, reached: make(chan struct{}), watchers: map[string]map[chan struct{}]bool{},
		untaken: map[api.NodeID]int{}, began: map[runKey]*write{}, strange: map[runKey]uint64{}, orphans: map[string]bool{},
	}
	q.m, q.taken = delivery.New(o.AC), sync.NewCond(&q.mu)
	return q, q.Reload(ctx)
}

func (o Options) withDefaults() Options {
	if o.Elsewhere == nil {
		o.Elsewhere = func(api.NodeID) bool { return false }
	}
	if o.Drained == nil {
		o.Drained = func(api.NodeID) bool { return false }
	}
	if o.Leads == nil {
		o.Leads = func() bool { return true }
	}
	if o.Peers == nil {
		o.Peers = alone{}
	}
	if o.Bounds == (Bounds{}) {
		o.Bounds = DefaultBounds
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Close stops what Open began. What was not written is written again when the
// nodes say it again.
func (q *Queue) Close() {
	q.cancel()
	q.mu.Lock()
	q.taken.Broadcast()
	q.mu.Unlock()
	q.wg.Wait()
}

// tickEvery is how often time is looked at.
const tickEvery = 500 * time.Millisecond

func (q *Queue) ticks(ctx context.Context) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			q.Tick(ctx)
		}
	}
}

// Tick ends what time has ended, and forgets what is old.
func (q *Queue) Tick(ctx context.Context) {
	now := q.o.Clock()
	q.mu.Lock()
	q.perform(q.m.Tick(now, q.o.Elsewhere))
	old := q.m.Old(now.Add(-q.o.Bounds.Keep), q.o.Bounds.Jobs, q.o.Bounds.Results, forgottenAtOnce)
	orphans := len(q.orphans)
	q.mu.Unlock()
	if len(old)+orphans > 0 && q.o.Leads() {
		q.forget(ctx, old)
	}
}

// step has the machine take an event, and does what it decides.
func (q *Queue) step(event func(m *delivery.Machine, now time.Time) []delivery.Effect) {
	now := q.o.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.perform(event(q.m, now))
}

// perform does what the machine decided; q.mu is held and nothing of it blocks.
func (q *Queue) perform(effects []delivery.Effect) {
	for _, e := range effects {
		switch key := (runKey{e.Job, e.Node}); {
		case e.Frame != nil:
			if s := q.sessions[e.Node]; s != nil {
				s.Send(*e.Frame)
			}
		case e.Piece != nil:
			q.keep(e)
		case e.Result != nil:
			q.put(resultWrite(key, *e.Result, e.Over))
		case e.Began != nil:
			q.put(beganWrite(key, *e.Began, q.o.Clock().Add(beganLate)))
		case e.Turns != nil:
			q.put(turnsWrite(e.Job, e.Turns, e.Over))
		case e.Unknown > 0:
			q.wonder(key, e.Unknown)
		case e.Changed:
			q.wake(e.Job)
		}
	}
}

// watch returns a channel that gets a value when a job may have changed.
func (q *Queue) watch(job string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watchers[job] == nil {
		q.watchers[job] = map[chan struct{}]bool{}
	}
	q.watchers[job][c] = true
	return c, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if delete(q.watchers[job], c); len(q.watchers[job]) == 0 {
			delete(q.watchers, job)
		}
	}
}

// wake tells those that watch a job; q.mu is held.
func (q *Queue) wake(job string) {
	for c := range q.watchers[job] {
		signal(c)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has one to take already
	}
}
