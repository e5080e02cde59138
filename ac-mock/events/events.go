// Package events keeps what nodes notice by themselves: alarms, services that
// fail, warnings of programs.
//
//	node ──event, again until acknowledged──▶ Take ──▶ intake ──▶ store ──ack──▶ node
//	                                                                │ Watch, at every AC
//	                                                 Read ◀── ring ◀┘
//
// It promises that an event is acknowledged only once it is durable, and then is
// there once, whichever AC the node sent it to and however often; that every AC
// shows the same events in the same order, also while the store cannot be
// written; that a node that floods delays and drops only its own; and that what
// is kept is bounded: Most in all, PerNode of a node.
//
// They are in the store and not in files of each AC, as the output of jobs is:
// they are few and small, an operator asks any AC for all of them, and one that
// is down for good has taken none with it. It is no log of programs.
package events

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/events/intake"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

const (
	// batch is how many events are written in one transaction: with as many that
	// go for each, it has to be within store.MaxOps.
	batch = store.MaxOps / 3
	// retryAfter is how long a store that fails is left alone.
	retryAfter = time.Second
	// writeLimit bounds one transaction.
	writeLimit = 10 * time.Second
)

// Options of a Log. All must be set.
type Options struct {
	Store store.Store
	Ack   func(api.NodeID, uint64) // tells a node what is safe; it must not block
	Clock func() time.Time
	Log   *slog.Logger
}

// Log is the events of a grid, at one AC. Its methods may be called concurrently.
type Log struct {
	o Options

	mu      sync.Mutex
	intake  *intake.Intake
	ring    *ring
	changed chan struct{} // closed and replaced when ring changes
	more    chan struct{} // holds one token while there may be something to write
}

// New makes a Log that knows nothing yet. Run has to be called too.
func New(o Options) *Log {
	return &Log{o: o, intake: intake.New(), ring: newRing(), changed: make(chan struct{}), more: make(chan struct{}, 1)}
}

// Take takes an event of a node. It does not block; what it does not take comes again.
func (l *Log) Take(id api.NodeID, e api.NodeEvent) {
	e = e.Shown()
	e.Node, e.Name, e.Cursor = id, "", ""
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.intake.Take(id, e, l.o.Clock()) {
		select {
		case l.more <- struct{}{}:
		default:
		}
	}
}

// Kept is how many events there are, and how many wait here to be written.
func (l *Log) Kept() (kept, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ring.order), l.intake.Waiting()
}

// Query chooses events.
type Query struct {
	Node  api.NodeID // only of this one; empty: all
	Level int        // only of this level and above
	After string     // only what came later than the event with this Cursor; empty: all
	Limit int        // at most so many of the newest; 0: all
}

// Read returns events, in the order in which ACs had them, and a channel that is
// closed when there may be more.
func (l *Log) Read(q Query) ([]api.NodeEvent, <-chan struct{}, error) {
	after, err := parseCursor(q.After)
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	from := 0
	if q.After != "" {
		at, is := l.ring.find(after)
		if from = at; is {
			from++
		}
	}
	list := []api.NodeEvent{}
	for _, k := range slices.Backward(l.ring.order[from:]) {
		if q.Node != "" && k.event.Node != q.Node || k.event.Level < q.Level {
			continue
		}
		if q.Limit > 0 && len(list) == q.Limit {
			break
		}
		e := k.event
		e.Cursor = k.at().String()
		list = append(list, e)
	}
	slices.Reverse(list)
	return list, l.changed, nil
}

// Run keeps the log up to date, and writes what comes, until ctx ends.
func (l *Log) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { l.follow(ctx) })
	wg.Go(func() { l.write(ctx) })
	wg.Wait()
}

// write writes what waits, batch by batch.
func (l *Log) write(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.more:
		case <-timer.C:
		}
		if wait, more := l.writeSome(ctx); more {
			timer.Reset(wait)
		}
	}
}

// writeSome writes one batch, and says when to go on, if there is more.
func (l *Log) writeSome(ctx context.Context) (wait time.Duration, more bool) {
	l.mu.Lock()
	items := l.intake.Next(l.o.Clock(), batch)
	txn := l.transaction(items)
	l.mu.Unlock()
	var err error
	if len(txn.Then) > 0 {
		ctx, cancel := context.WithTimeout(ctx, writeLimit)
		defer cancel()
		_, err = l.o.Store.Txn(ctx, txn)
	}
	if err != nil {
		l.o.Log.Warn("events wait: they cannot be written", "events", len(items), "error", err)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.intake.Failed()
		return retryAfter, true
	}
	l.mu.Lock()
	acks := l.intake.Written()
	wait, more = l.intake.Wait(l.o.Clock())
	l.mu.Unlock()
	for _, a := range acks { // not under the lock: Take is called under theirs
		l.o.Ack(a.Node, a.Seq)
	}
	return wait, more
}

// transaction writes events, those that are there already left out, and takes
// away what has to make room for them. Under l.mu.
func (l *Log) transaction(items []intake.Item) (t store.Txn) {
	done := map[string]bool{} // no key may be written twice
	add := func(op store.Op) {
		if !done[op.Key] {
			t.Then, done[op.Key] = append(t.Then, op), true
		}
	}
	for _, x := range items {
		if l.ring.byKey[keyOf(x)] != nil {
			continue
		}
		value, err := json.Marshal(x.Event)
		if err != nil { // cannot be, and must not hold up the others
			l.o.Log.Error("event left out", "node", x.Node, "seq", x.Event.Seq, "error", err)
			continue
		}
		add(store.Put(keyOf(x), value))
	}
	for _, key := range l.ring.leaves(items) {
		add(store.Delete(key))
	}
	return t
}

// follow keeps the ring as the store is.
func (l *Log) follow(ctx context.Context) {
	for ctx.Err() == nil {
		revision, err := l.load(ctx)
		if err == nil {
			err = l.watch(ctx, revision+1)
		}
		if ctx.Err() != nil {
			return
		}
		l.o.Log.Warn("events are read again: lost sight of the store", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

func (l *Log) load(ctx context.Context) (revision int64, err error) {
	fresh := newRing()
	revision, err = store.Each(ctx, l.o.Store, prefix, func(kv store.KV) error {
		l.apply(fresh, kv, false)
		return nil
	})
	if err == nil {
		l.change(func() { l.ring = fresh })
	}
	return revision, err
}

func (l *Log) watch(ctx context.Context, from int64) error {
	for b := range l.o.Store.Watch(ctx, prefix, from) {
		if b.Err != nil {
			return b.Err
		}
		l.change(func() {
			for _, e := range b.Events {
				l.apply(l.ring, e.KV, e.Deleted)
			}
		})
	}
	return ctx.Err()
}

// apply takes a key. One that cannot be read is left out: it may be of a later version.
func (l *Log) apply(r *ring, kv store.KV, deleted bool) {
	if err := r.apply(kv, deleted); err != nil {
		l.o.Log.Error("an event cannot be read", "error", err)
	}
}

func (l *Log) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
	close(l.changed)
	l.changed = make(chan struct{})
}
