// Package schedule makes the jobs that recur: it is the shell around package due,
// at every AC of a grid.
//
// It promises that a schedule is in the store, with its audit entry, before Add
// returns; that of one tick at most one job comes to be, although all ACs look to
// it and none is in charge, because the job's id says the tick; and that a tick
// that passed while no AC was there is run late, or is said to have been left out;
// and that an operator who was revoked has nothing run any more.
// It does not run jobs, and does not know whether their nodes are there.
//
// Keys in the store: schedule/NAME, due.Entry.
package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/schedule/due"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Errors of an operator's request, beside due.ErrInput and due.ErrCron.
var (
	// ErrUnknown: there is no schedule of that name.
	ErrUnknown = errors.New("no such schedule")
	// ErrExists: there is one.
	ErrExists = errors.New("there is a schedule of that name")
	// ErrMany: there are as many as there can be.
	ErrMany = errors.New("too many schedules")
)

// prefix of the keys in the store.
const prefix = "schedule/"

// Most is how many schedules a grid can have.
const Most = 1000

// Jobs is what is asked of those who make jobs.
type Jobs interface {
	// Check says what is wrong with a request, or nil; nothing comes of it.
	Check(ctx context.Context, req api.JobRequest) error
	// Make makes a job. One that has the id already is it.
	Make(ctx context.Context, by string, req api.JobRequest) error
	// Runs says whether a job is running on a node, or about to; not, if there is none.
	Runs(ctx context.Context, id string) (bool, error)
}

// Options of a Scheduler. What is not said to have a default must be set.
type Options struct {
	Store store.Store
	Jobs  Jobs
	// Entry makes the write that audits an operator's deed, and Noted is called
	// when it was carried out.
	Entry func(actor, action string, node api.NodeID, detail string) (store.Op, error)
	Noted func()
	// MayAct says why what an operator has left to be done is not to be done; default:
	// whoever it was, it is.
	MayAct func(ctx context.Context, actor string) error
	Clock  func() time.Time // default time.Now
	Log    *slog.Logger
}

// Scheduler is one AC's part. Its methods may be called concurrently, Run once.
type Scheduler struct {
	o    Options
	kick chan struct{} // holds a token when there is something new

	mu      sync.Mutex
	entries map[string]stored
}

// stored is an entry, and which revision wrote it; a deleted one has no name.
type stored struct {
	due.Entry
	modified int64
}

// New makes a Scheduler that knows nothing before Run, or Load.
func New(o Options) *Scheduler {
	if o.MayAct == nil {
		o.MayAct = func(context.Context, string) error { return nil }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Scheduler{o: o, kick: make(chan struct{}, 1), entries: map[string]stored{}}
}

// List shows the schedules, by name.
func (s *Scheduler) List() []api.Schedule {
	now, list := s.o.Clock(), []api.Schedule{}
	for _, e := range s.all() {
		list = append(list, e.Shown(now))
	}
	return list
}

func (s *Scheduler) all() []stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []stored
	for _, e := range s.entries {
		if e.Name != "" {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b stored) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Add keeps a schedule, from now on. Without a name it gets one. Errors wrap
// ErrExists, ErrMany, due.ErrInput, due.ErrCron, or are those of Jobs.Check.
func (s *Scheduler) Add(ctx context.Context, actor string, q api.Schedule) (api.Schedule, error) {
	all, err := s.read(ctx)
	if err != nil {
		return api.Schedule{}, err
	}
	has := func(name string) bool { return all[name].Name != "" }
	if q.Name == "" {
		q.Name = due.NameOf(q.Request.Exec, has)
	}
	now := s.o.Clock()
	e, err := due.New(q, actor, now)
	switch {
	case err != nil:
		return api.Schedule{}, err
	case has(q.Name):
		return api.Schedule{}, fmt.Errorf("schedule %s: %w", q.Name, ErrExists)
	case len(all) >= Most:
		return api.Schedule{}, fmt.Errorf("schedule %s: %w: there are %d", q.Name, ErrMany, len(all))
	}
	if err := s.o.Jobs.Check(ctx, e.Request); err != nil {
		return api.Schedule{}, err
	}
	op, err := put(e)
	if err != nil {
		return api.Schedule{}, err
	}
	err = s.audited(ctx, actor, "schedule add", fmt.Sprintf("%s: %s, %s", e.Name, e.Cron, what(e.Request)), store.Txn{If: []store.Cond{{Key: op.Key}}, Then: []store.Op{op}})
	if errors.Is(err, store.ErrConflict) {
		err = fmt.Errorf("schedule %s: %w", q.Name, ErrExists)
	}
	return e.Shown(now), err
}

// what says in the audit what is run where; arguments may be secret.
func what(q api.JobRequest) string {
	command := "a script"
	switch {
	case q.Exec.Builtin != "":
		command = string(q.Exec.Builtin)
	case len(q.Exec.Script) == 0 && len(q.Exec.Argv) > 0:
		command = q.Exec.Argv[0]
	}
	switch {
	case q.To.All:
		return command + " on all nodes"
	case len(q.To.Roles) > 0:
		command += " on role " + strings.Join(q.To.Roles, ", ")
	}
	if len(q.To.Nodes) > 0 {
		command += " on " + strings.Join(q.To.Nodes, ", ")
	}
	return command
}

// Remove ends a schedule; jobs that it made go on. Errors wrap ErrUnknown.
func (s *Scheduler) Remove(ctx context.Context, actor, name string) (api.Schedule, error) {
	kv, err := s.o.Store.Get(ctx, prefix+name)
	if errors.Is(err, store.ErrNotFound) {
		return api.Schedule{}, fmt.Errorf("schedule %q: %w", api.Shown(name, 64), ErrUnknown)
	}
	if err != nil {
		return api.Schedule{}, fmt.Errorf("schedule %s: %w", name, err)
	}
	var e due.Entry
	if err := json.Unmarshal(kv.Value, &e); err != nil {
		e.Name = name // it goes also if nobody can read it
	}
	err = s.audited(ctx, actor, "schedule remove", name, store.Txn{Then: []store.Op{store.Delete(kv.Key)}})
	return e.Shown(s.o.Clock()), err
}

// audited carries out a transaction together with an audit entry about it.
func (s *Scheduler) audited(ctx context.Context, actor, action, detail string, t store.Txn) error {
	entry, err := s.o.Entry(actor, action, "", detail)
	if err != nil {
		return err
	}
	t.Then = append(t.Then, entry)
	if _, err := s.o.Store.Txn(ctx, t); err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	s.o.Noted()
	return nil
}

// read reads all schedules from the store.
func (s *Scheduler) read(ctx context.Context) (map[string]stored, error) {
	all := map[string]stored{}
	_, err := store.Each(ctx, s.o.Store, prefix, func(kv store.KV) error {
		all[strings.TrimPrefix(kv.Key, prefix)] = s.decode(kv)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the schedules: %w", err)
	}
	return all, nil
}

// decode reads a stored entry. One that cannot be read stops no other.
func (s *Scheduler) decode(kv store.KV) stored {
	e := stored{modified: kv.Modified}
	if err := json.Unmarshal(kv.Value, &e.Entry); err != nil {
		s.o.Log.Error("schedule is not understood, and not run", "key", kv.Key, "error", err)
		e.Entry = due.Entry{}
	}
	return e
}

func put(e due.Entry) (store.Op, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return store.Op{}, fmt.Errorf("encode schedule %s: %w", e.Name, err)
	}
	return store.Put(prefix+e.Name, value), nil
}
