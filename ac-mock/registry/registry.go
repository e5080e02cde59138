// Package registry is an AC's book of nodes: who they are, which keys they
// may have, and what was decided about them. It is the shell around
// ac-mock/enrol: it looks up, asks for the decision, and writes it.
//
// It promises that a decision, what follows from it and its audit entry are
// one transaction of the store, durable before any share, certificate or
// confirmation leaves; that every refusal costs the same work and says
// nothing; that a flood of refusals costs a bounded number of writes; and that
// several ACs on one store agree, because every write is conditional on what
// the decision was based on. Where a node is, and whether it is online, is
// kept in memory and written back later: it may be lost by a crash, and is
// each AC's own view. It does not talk to nodes and does not verify
// signatures or chains.
//
// Keys in the store, beside those of ca and audit:
//
//	node/record/ID    enrol.Record        escrow/ID/GENERATION   sealed share and recovery key
//	node/mac/MAC      → ID                node/seen/ID           where it was last
//	node/key/SHA-256  → ID (device key)   token/ID               enrol.Token
//	operator/NAME     account
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/ac-mock/audit"
	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// ErrUnknown is wrapped when no node, or more than one, is meant by a
// reference.
var ErrUnknown = errors.New("no such node")

// ErrState is wrapped when a node's state does not allow what was asked.
var ErrState = enrol.ErrState

// Options says what a Registry is made of.
type Options struct {
	Store          store.Store
	Seal           *seal.Sealer
	CA             *ca.CA
	Policy         enrol.Policy
	Limits         enrol.Limits // zero: enrol.DefaultLimits
	Grid           string
	AuthorizedKeys []string // OpenSSH lines, for every node
	// AC is the name of this one, and Alive says whether another one is there:
	// a node is online while the AC that has its session is. Nil: none is.
	AC        string
	Alive     func(name string) bool
	KeepAudit int              // most audit entries kept; 0: 100 000
	Clock     func() time.Time // default time.Now
	// Rand makes the shares, and names the audit entries. Default: the
	// kernel's. It is read from many goroutines if the Registry was opened.
	Rand io.Reader
	Log  *slog.Logger // default: none
}

// Times of the background work.
const (
	writeBackEvery = 3 * time.Second  // whereabouts that changed: other ACs show them
	sumUpEvery     = 10 * time.Second // refusals
	linkEvery      = time.Second      // audit entries, if there are new ones
	lookEvery      = 10 * time.Second // for audit entries that another AC left behind
	pruneEvery     = time.Hour
	retryAfter     = time.Second
	closeWithin    = 5 * time.Second
)

// Registry is the book. Its methods may be called from many goroutines.
type Registry struct {
	o         Options
	book      *book
	decoy     decoy
	revision  atomic.Int64
	refusals  chan refusal
	more      chan struct{} // holds one token after a refusal, or an audit entry
	untied    atomic.Bool   // there may be audit entries that are not tied to the chain
	late      *writer
	within    func(context.Context, time.Duration) (context.Context, context.CancelFunc)
	revoked   *queue
	resettled *queue
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	closing   sync.Once

	mu    sync.Mutex // guards what follows
	limit *enrol.Limiter
}

// Open loads the book and follows the store, so that several ACs share it.
func Open(ctx context.Context, o Options) (*Registry, error) {
	r, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	r.within = context.WithTimeout
	run, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() { r.follow(run) })
	r.wg.Go(func() { r.background(run) })
	r.wg.Go(func() { r.revoked.run(run) })
	r.wg.Go(func() { r.resettled.run(run) })
	return r, nil
}

// New loads the book and does nothing on its own: no goroutine, no timer, no
// clock but Options.Clock. The caller does what Open leaves to goroutines: it
// hands in the store's news (Take, Reload), and calls Settle in time and
// TakeRevoked after either. With one caller, the same calls have the same
// effects. It need not be closed: to drop it is a crash.
func New(ctx context.Context, o Options) (*Registry, error) {
	if o.Store == nil || o.Seal == nil || o.CA == nil {
		return nil, errors.New("registry: want a store, a sealer and a CA")
	}
	o = o.withDefaults()
	r := &Registry{
		o: o, limit: enrol.NewLimiter(o.Limits), revoked: newQueue(), resettled: newQueue(), within: unbounded, cancel: func() {},
		refusals: make(chan refusal, refusalQueue), more: make(chan struct{}, 1),
	}
	r.book, r.late = newBook(r.revoked.add), newWriter(r)
	r.book.resettle = r.resettled.add
	r.book.own, r.book.alive = o.AC, o.Alive
	r.decoy.seal = o.Seal
	if err := r.decoy.renew(); err != nil {
		return nil, err
	}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// unbounded is context.WithTimeout without a clock: a store in memory answers
// at once.
func unbounded(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

func (o Options) withDefaults() Options {
	if o.Limits == (enrol.Limits{}) {
		o.Limits = enrol.DefaultLimits()
	}
	if o.KeepAudit == 0 {
		o.KeepAudit = 100_000
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Alive == nil {
		o.Alive = func(string) bool { return false }
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Ready says whether decisions can be made: nil when the store answers.
func (r *Registry) Ready(ctx context.Context) error {
	if _, err := r.o.Store.Get(ctx, prefix); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// Settings is what the AC decides for a node.
func (r *Registry) Settings(id api.NodeID) api.Settings {
	s := api.Settings{AuthorizedKeys: append([]string{}, r.o.AuthorizedKeys...), RevokedCAs: r.o.CA.Retired()}
	if record, _ := r.book.get(id); record != nil {
		s.Grace = record.Allowed()
	}
	return s
}

// Resettled delivers the nodes whose Settings have changed. One reader; closed by
// Close. Only an opened Registry delivers.
func (r *Registry) Resettled() <-chan api.NodeID { return r.resettled.out }

// Watch returns a channel that gets a value after a change of any node (or of
// what is known of it); values are merged when the reader is slow. It is
// closed when ctx ends.
func (r *Registry) Watch(ctx context.Context) <-chan struct{} { return r.book.watch(ctx) }

// Revoked delivers the nodes whose session has to end now: no longer enrolled,
// or certificate revoked. One reader; a node that is revoked twice before it is
// read comes once. It is closed by Close.
// Only an opened Registry delivers.
func (r *Registry) Revoked() <-chan api.NodeID { return r.revoked.out }

// TakeRevoked returns what Revoked would deliver, in the order in which it
// became known.
func (r *Registry) TakeRevoked() (ids []api.NodeID) {
	for id, ok := r.revoked.next(); ok; id, ok = r.revoked.next() {
		ids = append(ids, id)
	}
	return ids
}

// Audit lists decisions with a number above after, oldest first; ref narrows
// them to a node, empty means all. At most limit of the newest; 0 means all that
// are kept.
func (r *Registry) Audit(ctx context.Context, ref string, after uint64, limit int) ([]api.AuditEntry, error) {
	q := audit.Query{After: after, Limit: limit}
	if ref != "" {
		n, err := r.Node(ctx, ref)
		if err != nil {
			return nil, err
		}
		q.Node = n.ID
	}
	return audit.List(ctx, r.o.Store, q)
}

// AuditChain returns a part of the audit as it is stored, after a number, for
// chain.Verify.
func (r *Registry) AuditChain(ctx context.Context, after uint64) (api.AuditChain, error) {
	return audit.Chain(ctx, r.o.Store, after)
}

// Close flushes and stops. The store and the CA stay open.
func (r *Registry) Close() error {
	var err error
	r.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
		defer cancel()
		err = r.Flush(ctx)
		r.cancel()
		r.wg.Wait()
	})
	return err
}
