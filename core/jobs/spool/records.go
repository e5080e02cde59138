package spool

import (
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/g8os/g8os/core/api"
)

// errDamaged is wrapped when what is on the disk cannot be what was written.
var errDamaged = errors.New("damaged")

// Record is what is kept of a job.
type Record struct {
	ID      string          `json:"id"`
	Boot    string          `json:"boot"`              // of the machine, when it began
	Begun   time.Time       `json:"begun"`             // when it was about to start
	Builtin api.Builtin     `json:"builtin,omitempty"` // what it is, if that
	Args    json.RawMessage `json:"args,omitempty"`    // of a builtin that is asked again if it does not end
	Exit    *api.Frame      `json:"exit,omitempty"`    // how it ended
	Told    bool            `json:"told,omitempty"`    // and the AC has that
	Order   uint64          `json:"order,omitempty"`   // in which Exit came to be
}

// Kept is what a spool had when it was opened.
type Kept struct {
	Records   []Record        // those that have ended in that order, then those that have not, as they began
	Events    []api.NodeEvent // by number
	LastEvent uint64          // number of the last there ever was
	Problems  []string        // what was damaged, and what was done about it
}

var (
	jobsBucket   = []byte("jobs")
	eventsBucket = []byte("events")
	metaBucket   = []byte("meta")
	lastEventKey = []byte("last-event")
)

// retry is how often a disk that took nothing is tried again.
const retry = 10 * time.Second

// lazily is how many writes that nobody waits for are held back.
const lazily = 256

// records are written by one goroutine: everything that has come while one
// commit was made is in the next.
type records struct {
	aead cipher.AEAD
	path string
	db   *bbolt.DB // the writer's, after start

	mu      sync.Mutex
	pending map[slot][]byte // nil: removed
	waiting []chan error
	fault   error // why the disk took nothing the last time
	commits int
	wake    chan struct{}
	stop    chan struct{}
	ended   chan struct{}
}

type slot struct{ bucket, key string }

func newRecords(aead cipher.AEAD, path string) *records {
	return &records{
		aead: aead, path: path, pending: map[slot][]byte{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// open reads all records. A file that the kernel cannot page in raises SIGBUS
// where it is mapped, and a damaged page a panic: both are errors here.
func (r *records) open(kept *Kept) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	if err := r.openDB(); err != nil {
		return err
	}
	return r.db.View(func(tx *bbolt.Tx) error {
		if st, err := os.Stat(r.path); err != nil || st.Size() < tx.Size() {
			return fmt.Errorf("%w: the file is shorter than %d bytes", errDamaged, tx.Size())
		}
		var damage error
		for err := range tx.Check() { // to its end: it has a goroutine
			damage = errors.Join(damage, err)
		}
		if damage != nil {
			return fmt.Errorf("%w: %w", errDamaged, damage)
		}
		return r.read(tx, kept)
	})
}

func (r *records) openDB() error {
	db, err := bbolt.Open(r.path, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		for _, damage := range []error{bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch} {
			if errors.Is(err, damage) {
				return fmt.Errorf("%w: %w", errDamaged, err)
			}
		}
		if st, serr := os.Stat(r.path); serr == nil && st.Size() > 0 && !errors.Is(err, bolterrors.ErrTimeout) && !isDisk(err) {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{jobsBucket, eventsBucket, metaBucket} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	r.db = db
	return nil
}

func (r *records) read(tx *bbolt.Tx, kept *Kept) error {
	err := tx.Bucket(jobsBucket).ForEach(func(k, v []byte) error {
		var rec Record
		if err := r.unsealed(jobsBucket, k, v, &rec); err != nil {
			return err
		}
		kept.Records = append(kept.Records, rec)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(kept.Records, ended)
	kept.LastEvent = number(tx.Bucket(metaBucket).Get(lastEventKey))
	return tx.Bucket(eventsBucket).ForEach(func(k, v []byte) error {
		var ev api.NodeEvent
		if err := r.unsealed(eventsBucket, k, v, &ev); err != nil {
			return err
		}
		kept.Events = append(kept.Events, ev)
		kept.LastEvent = max(kept.LastEvent, ev.Seq)
		return nil
	})
}

func ended(a, b Record) int {
	switch {
	case (a.Exit == nil) != (b.Exit == nil):
		if a.Exit != nil {
			return -1
		}
		return 1
	case a.Exit != nil && a.Order != b.Order:
		if a.Order < b.Order {
			return -1
		}
		return 1
	case !a.Begun.Equal(b.Begun):
		return a.Begun.Compare(b.Begun)
	}
	return strings.Compare(a.ID, b.ID)
}

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (r *records) unsealed(bucket, key, value []byte, into any) error {
	text, err := unseal(r.aead, nil, value, slices.Concat(bucket, key))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("%w: a record of %s: %w", errDamaged, bucket, err)
	}
	return nil
}

func (r *records) sealed(bucket, key []byte, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // plain data of ours
	}
	return seal(r.aead, nil, text, slices.Concat(bucket, key))
}

// shut closes the file, as if there had been none.
func (r *records) shut() {
	if r.db != nil {
		_ = r.db.Close()
		r.db = nil
	}
}
