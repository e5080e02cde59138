// Package store is what an AC remembers: a small, ordered key-value store
// with revisions, compare-and-swap, watches and leases.
//
// It promises, for every implementation (storetest is the suite that says so):
// a Txn is atomic and durable before it returns; revisions grow by one a
// transaction that wrote; a watch delivers every change after a revision, in
// order, without gaps, or says that it cannot; a page of a List is read at one
// revision. It is not a place for logs, job output or blobs: values are meant
// to be a few KiB, and Txn refuses more than MaxOps operations.
//
// store/etcd is the real one; store/memory is its twin for the simulator and
// for tests.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors that callers tell apart. Implementations wrap them.
var (
	// ErrNotFound: no such key, or no such lease.
	ErrNotFound = errors.New("not found in the store")
	// ErrConflict: a condition of a Txn did not hold; read again, decide again.
	ErrConflict = errors.New("the store has changed in between")
	// ErrUnavailable: no quorum, or the store cannot be reached; try later.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrFull: the quota is used up; nothing can be written until it is raised or history is compacted.
	ErrFull = errors.New("the store is full")
	// ErrCompacted: the revision asked for is no longer kept; list again.
	ErrCompacted = errors.New("the revision is no longer kept")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the store is closed")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("the store is in use by another process")
)

// MaxOps bounds the operations and conditions of one Txn, each.
const MaxOps = 128

// KV is one key with its value. Revisions are of the whole store: Created is
// the one that made the key, Modified the one that last wrote it.
type KV struct {
	Key      string
	Value    []byte
	Created  int64
	Modified int64
}

// Cond must hold for a Txn to be carried out: Key was last written by
// revision Modified. Zero means that the key does not exist.
type Cond struct {
	Key      string
	Modified int64
}

// Op is one write of a Txn. The zero Lease binds to none.
type Op struct {
	Key    string
	Value  []byte
	Delete bool
	Lease  LeaseID
}

// Put returns the Op that writes a key.
func Put(key string, value []byte) Op { return Op{Key: key, Value: value} }

// Delete returns the Op that removes a key; that it is not there is no error.
func Delete(key string) Op { return Op{Key: key, Delete: true} }

// Txn is a set of writes that happen together or not at all. No key may occur
// twice in Then.
type Txn struct {
	If   []Cond
	Then []Op
}

// Page is a part of a List.
type Page struct {
	KVs      []KV
	Revision int64  // at which it was read
	Next     string // From of the next page; empty when this was the last
}

// ListOptions chooses a page. The zero value is the first page, now, of
// DefaultPage keys.
type ListOptions struct {
	From     string // first key to return; empty: the first with the prefix
	Limit    int    // most keys in the page; 0: DefaultPage
	Revision int64  // read as of this revision; 0: the current one
	KeysOnly bool
}

// DefaultPage is the number of keys in a page that did not ask for one.
const DefaultPage = 500

// Event is one change. After a delete, Value is nil and Modified is the
// revision that deleted.
type Event struct {
	KV
	Deleted bool
}

// Batch is what a watch delivers: the events of one or more whole revisions,
// up to and with Revision. A batch with Err is the last one: ErrCompacted
// means that the watcher has to list again.
type Batch struct {
	Events   []Event
	Revision int64
	Err      error
}

// LeaseID names a lease: keys bound to it vanish when it is not kept alive.
type LeaseID int64

// Store is the contract. All methods may be called at once from many
// goroutines.
type Store interface {
	// Get reads a key, linearizably. ErrNotFound when it is not there.
	Get(ctx context.Context, key string) (KV, error)
	// List reads keys with a prefix in byte order, a page at a time.
	List(ctx context.Context, prefix string, o ListOptions) (Page, error)
	// Txn carries out a transaction and returns the revision it made (the
	// current one if it wrote nothing), or ErrConflict and changes nothing.
	Txn(ctx context.Context, t Txn) (int64, error)
	// Watch delivers the changes of keys with a prefix made by revision from
	// and later; 0 means from now on. The channel is closed when ctx ends, the
	// store is closed, or after a Batch with Err. A slow reader delays only itself.
	Watch(ctx context.Context, prefix string, from int64) <-chan Batch
	// Grant makes a lease of at least ttl (whole seconds, rounded up; an
	// implementation may have a minimum).
	Grant(ctx context.Context, ttl time.Duration) (LeaseID, error)
	// KeepAlive starts a lease's time again. ErrNotFound when it is over.
	KeepAlive(ctx context.Context, id LeaseID) error
	// Revoke ends a lease at once and deletes its keys.
	Revoke(ctx context.Context, id LeaseID) error
	// Revision returns the revision of the last write.
	Revision(ctx context.Context) (int64, error)
	// Close releases everything; open watches end.
	Close() error
}

// Each calls f for every key with a prefix, as of one revision, which it
// returns. It pages, so that a large prefix costs one page of memory.
func Each(ctx context.Context, s Store, prefix string, f func(KV) error) (int64, error) {
	var o ListOptions
	for {
		page, err := s.List(ctx, prefix, o)
		if err != nil {
			return 0, err
		}
		for _, kv := range page.KVs {
			if err := f(kv); err != nil {
				return 0, err
			}
		}
		if page.Next == "" {
			return page.Revision, nil
		}
		o.From, o.Revision = page.Next, page.Revision
	}
}
