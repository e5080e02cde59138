// Package upgrade carries a new g8os_core over a grid: it is the shell around
// ac-mock/upgrade/rollout.
//
//	operator ── Start, Pause ──▶ store: upgrade/… ◀── Step, at every AC
//	                                                    └ nodes with a session here: job, answer
//
// It promises that an upgrade is in the store before any node is asked, so that
// every AC on the store works on it, each for the nodes that have a session with
// it, and none is in charge; that a node may be asked any number of times and
// does it once; and that what operators decide is in the audit. It keeps no
// binaries (ac-mock/releases does) and trusts no signature: nodes verify.
//
// Keys in the store:
//
//	upgrade/plan            rollout.Plan, the last one
//	upgrade/node/PLAN/ID    rollout.Entry
package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/rotate"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/upgrade/rollout"
	"github.com/g8os/g8os/core/api"
)

// Errors that operators can do something about.
var (
	// ErrNone: there has been no upgrade, or it is over.
	ErrNone = errors.New("no upgrade is under way")
	// ErrRunning: another one is not over yet.
	ErrRunning = errors.New("an upgrade is under way")
	// ErrInput: what was asked cannot be done.
	ErrInput = errors.New("the upgrade cannot be begun so")
)

// Book is what is asked of the registry.
type Book interface {
	Fact(api.NodeID) rotate.Fact
	Resolve(ctx context.Context, to api.Address) ([]api.Node, error)
	Note(ctx context.Context, actor, action string, node api.NodeID, detail string) error
}

// Sessions are those that nodes have with this AC.
type Sessions interface {
	Online(api.NodeID) bool
	// Ask runs a job and waits for its end, which may be after the node was away.
	Ask(ctx context.Context, id api.NodeID, job string, req api.ExecRequest) (api.JobRun, error)
}

// Options of a Driver. All must be set.
type Options struct {
	Store    store.Store
	Book     Book
	Sessions Sessions
	Release  func(ctx context.Context, sum string) (api.Release, error) // of those that ACs have
	Clock    func() time.Time
	ID       func() string // a new one
	Log      *slog.Logger
}

// Driver is one AC's part in upgrades. Its methods may be called concurrently,
// but for Run.
type Driver struct {
	o    Options
	kick chan struct{}

	mu      sync.Mutex
	mine    map[api.NodeID]bool // asked here, and not answered
	again   map[api.NodeID]time.Time
	waiting sync.WaitGroup
}

// New makes a Driver that does nothing before Run.
func New(o Options) *Driver {
	return &Driver{o: o, kick: make(chan struct{}, 1), mine: map[api.NodeID]bool{}, again: map[api.NodeID]time.Time{}}
}

// every is how often a Driver steps when nothing happens; againAfter how soon a
// node is asked again whose answer did not come.
const (
	every      = time.Second
	againAfter = 5 * time.Second
)

// Run steps until ctx ends, and waits for the answers that are under way.
func (d *Driver) Run(ctx context.Context) {
	defer d.waiting.Wait()
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if err := d.step(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrConflict) {
			d.o.Log.Warn("upgrade waits: trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-d.kick:
		}
	}
}

func (d *Driver) soon() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// step does what is to be done now.
func (d *Driver) step(ctx context.Context) error {
	p, modified, err := d.plan(ctx)
	if errors.Is(err, ErrNone) || err == nil && p.State == rollout.Done {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := d.entries(ctx, p.ID)
	if err != nil {
		return err
	}
	next, ask := rollout.Next(p, entries, d.busy(), d.fact, d.o.Clock())
	if !samePlan(next, p) {
		if err := d.write(ctx, next, modified); err != nil {
			return err
		}
		d.o.Log.Info("upgrade goes on", "upgrade", p.ID, "step", next.Step, "state", next.State, "why", next.Why)
		if next.State != p.State {
			if err := d.o.Book.Note(ctx, p.By, "upgrade", "", fmt.Sprintf("%s: %s %s", p.ID, next.State, next.Why)); err != nil {
				return err
			}
		}
		d.soon()
		return nil
	}
	for _, id := range ask {
		if err := d.begin(ctx, p, id, entries[id]); err != nil {
			return err
		}
	}
	return nil
}

// busy are the nodes that are not to be asked by this AC now.
func (d *Driver) busy() map[api.NodeID]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	busy := maps.Clone(d.mine)
	for id, at := range d.again {
		if d.o.Clock().Before(at) {
			busy[id] = true
		}
	}
	return busy
}

// begin notes down that a node is asked, and asks it.
func (d *Driver) begin(ctx context.Context, p rollout.Plan, id api.NodeID, e rollout.Entry) error {
	if e.State == api.UpgradeWaiting {
		e.State = api.UpgradeUnderWay
		if err := d.keep(ctx, id, e); err != nil {
			return err
		}
	}
	args, err := json.Marshal(api.UpgradeArgs{ID: p.ID, Release: p.Release, AllowDowngrade: p.AllowDowngrade, ProveMS: p.Prove.Milliseconds()})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.mine[id] = true
	d.mu.Unlock()
	d.waiting.Go(func() { d.ask(ctx, id, e, api.ExecRequest{Builtin: api.BuiltinUpgrade, Args: args}) })
	return nil
}

// ask waits for a node's answer, and keeps it.
func (d *Driver) ask(ctx context.Context, id api.NodeID, e rollout.Entry, req api.ExecRequest) {
	end, err := d.o.Sessions.Ask(ctx, id, e.ID+"."+d.o.ID(), req)
	before := e
	e, known := answered(e, end, err)
	for e != before && ctx.Err() == nil {
		if err := d.keep(ctx, id, e); err == nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	d.mu.Lock()
	delete(d.mine, id)
	if !known {
		d.again[id] = d.o.Clock().Add(againAfter)
	}
	d.mu.Unlock()
	d.o.Log.Info("upgrade: a node has answered", "upgrade", e.ID, "node", id, "state", e.State, "code", end.Code, "error", errors.Join(err, errorOf(end)))
	d.soon()
}

func errorOf(end api.JobRun) error {
	if end.Error == "" {
		return nil
	}
	return errors.New(end.Error)
}

// answered is what an entry becomes by a node's answer; not known: it has to be
// asked again.
func answered(e rollout.Entry, end api.JobRun, err error) (_ rollout.Entry, known bool) {
	why := api.Shown(end.Error, maxWhy)
	switch {
	case err != nil || !end.State.Ended():
		return e, false
	case end.State == api.JobSuccess:
		e.State, e.Why = api.UpgradeProved, ""
	case end.Code == api.CodeRolledBack:
		e.State, e.Why = api.UpgradeRolledBack, why
	case end.Code == api.CodeRefused || end.Code == codeNoBuiltin:
		e.State, e.Why = api.UpgradeRefused, why
	default:
		e.Why = why
		return e, false
	}
	return e, true
}

// codeNoBuiltin is the exit code of a g8os_core that is too old for upgrades.
const codeNoBuiltin = 127

// maxWhy bounds what is kept of a node's answer, in bytes.
const maxWhy = 300

func (d *Driver) fact(id api.NodeID) rollout.Fact {
	f := d.o.Book.Fact(id)
	here := d.o.Sessions.Online(id)
	return rollout.Fact{Name: f.Name, Enrolled: f.State == api.NodeEnrolled, Here: here, Online: f.Online || here}
}
