// Package output keeps what jobs say at one AC: files in its data folder, to
// which is only appended.
//
//	JOB@0000000000000000.out   records, the first at position 0 of the job
//	JOB@0000000002000000.out   those from position 0x2000000 on
//
// A record is its length, a checksum (CRC-32C) and a piece with the node it is
// of, its number and when it was taken. It promises: a piece is durable when
// Append returns; a file that was cut off in the middle of a record, by a crash,
// is read up to there and appended to from there; a reader says from which
// position, and gets what is there in the order in which it came; a job, and all
// jobs together, take a bounded room, and for more the oldest output goes: of the
// job, or of the oldest job. It does not know what a job is, and does not
// sort out doubles.
package output

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Piece is a piece of a job's output.
type Piece struct {
	Job    string // letters, digits, '.', '-' and '_'
	Node   api.NodeID
	Seq    uint64
	Stream string
	Data   []byte
	Time   time.Time // when the AC had it
}

// Bounds of what is kept, in bytes with what belongs to a record.
const (
	PerJob = 64 << 20
	InAll  = 4 << 30
)

// Options of a Log.
type Options struct {
	Dir    string
	PerJob int64 // default PerJob
	InAll  int64 // default InAll
	Log    *slog.Logger
}

// Log is the output of jobs. Its methods may be called concurrently.
type Log struct {
	o Options

	mu    sync.Mutex
	jobs  map[string]*job
	order []string // of jobs, who came first
	size  int64    // of all

	recent  int64  // bytes that are remembered
	recalls []*job // for each piece that is, the oldest first, whose it is
}

// job is the files of one.
type job struct {
	mu      sync.Mutex // held while its files are written or looked through
	known   bool       // last is, and the end of the newest file is whole
	last    map[api.NodeID]uint64
	parts   []part     // oldest first; under Log.mu
	recent  []recalled // the newest; under Log.mu
	removed bool
}

// part is one file: where it begins, and how long it is as far as it is durable.
type part struct{ from, size int64 }

const suffix = ".out"

// Open makes the folder, or finds what is in it. What is in the files is looked
// at when it is needed.
func Open(o Options) (*Log, error) {
	if o.PerJob == 0 {
		o.PerJob = PerJob
	}
	if o.InAll == 0 {
		o.InAll = InAll
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("output of jobs: make the folder: %w", err)
	}
	l := &Log{o: o, jobs: map[string]*job{}}
	if err := l.find(); err != nil {
		return nil, fmt.Errorf("output of jobs in %s: %w", o.Dir, err)
	}
	return l, nil
}

// find lists the files that are there; jobs are in the order of their age.
func (l *Log) find() error {
	entries, err := os.ReadDir(l.o.Dir)
	if err != nil {
		return err
	}
	age := map[string]time.Time{}
	for _, e := range entries {
		id, from, ok := parseName(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		j := l.jobs[id]
		if j == nil {
			j = &job{last: map[api.NodeID]uint64{}}
			l.jobs[id] = j
			l.order = append(l.order, id)
			age[id] = info.ModTime()
		}
		j.parts = append(j.parts, part{from, info.Size()})
		l.size += info.Size()
	}
	slices.SortStableFunc(l.order, func(a, b string) int { return age[a].Compare(age[b]) })
	return nil
}

func name(id string, from int64) string { return fmt.Sprintf("%s@%016x%s", id, from, suffix) }

func parseName(name string) (id string, from int64, ok bool) {
	rest, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return "", 0, false
	}
	id, hex, ok := strings.Cut(rest, "@")
	if !ok || id == "" || len(hex) != 16 {
		return "", 0, false
	}
	from, err := strconv.ParseInt(hex, 16, 64)
	return id, from, err == nil && from >= 0
}

func (l *Log) path(id string, from int64) string { return filepath.Join(l.o.Dir, name(id, from)) }

// get finds a job's files; with make set, it is made if there is none.
func (l *Log) get(id string, make bool) *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.jobs[id]
	if j == nil && make {
		j = &job{known: true, last: map[api.NodeID]uint64{}}
		l.jobs[id] = j
		l.order = append(l.order, id)
	}
	return j
}

// Jobs lists the jobs that have output here.
func (l *Log) Jobs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.order))
}

// Size is what all output takes, in bytes.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Remove deletes a job's output.
func (l *Log) Remove(id string) error {
	j := l.get(id, false)
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.removed { // by somebody else; what has its name now is another one
		return nil
	}
	return l.remove(id, j)
}

// remove deletes a job's files; j.mu is held. The job is known until they are
// gone: who makes it anew would write to files that are about to be deleted.
func (l *Log) remove(id string, j *job) error {
	l.mu.Lock()
	parts := j.parts
	j.parts = nil
	l.forget(j)
	for _, p := range parts {
		l.size -= p.size
	}
	l.mu.Unlock()
	var errs []error
	for _, p := range parts {
		if err := os.Remove(l.path(id, p.from)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	l.mu.Lock()
	j.removed = true
	delete(l.jobs, id)
	l.order = slices.DeleteFunc(l.order, func(x string) bool { return x == id })
	l.mu.Unlock()
	return errors.Join(errs...)
}
