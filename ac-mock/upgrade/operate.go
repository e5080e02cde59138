package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/upgrade/rollout"
	"github.com/g8os/g8os/core/api"
)

// Start begins an upgrade. Errors wrap ErrInput, ErrRunning, or are the book's
// about the nodes; then nothing has changed.
func (d *Driver) Start(ctx context.Context, actor string, q api.UpgradeRequest) (api.Upgrade, error) {
	if err := check(q); err != nil {
		return api.Upgrade{}, err
	}
	r, err := d.o.Release(ctx, q.Sum)
	if err != nil {
		return api.Upgrade{}, err
	}
	last, modified, err := d.plan(ctx)
	if err != nil && !errors.Is(err, ErrNone) {
		return api.Upgrade{}, err
	}
	if err == nil && last.State != rollout.Done && last.Ended.IsZero() {
		return api.Upgrade{}, fmt.Errorf("%w: %s to %s is %s; halt it for good first (g8os upgrade halt)", ErrRunning, last.ID, last.Release.Version, last.State)
	}
	meant, err := d.o.Book.Resolve(ctx, q.To)
	if err != nil {
		return api.Upgrade{}, err
	}
	ids := make([]api.NodeID, len(meant))
	for i, n := range meant {
		ids[i] = n.ID
	}
	now := d.o.Clock().UTC()
	steps, n := rollout.Divide(ids, d.fact, q.Canary, q.StepPercent)
	p := rollout.Plan{
		ID: "core-" + now.Format("20060102T150405") + "-" + d.o.ID()[:8], Release: r, By: actor, Started: now, Steps: n, State: rollout.Running,
		Pause: time.Duration(q.PauseMS) * time.Millisecond, HaltAfter: q.HaltAfter, AllowDowngrade: q.AllowDowngrade,
		Prove: time.Duration(q.ProveMS) * time.Millisecond,
	}
	p.Release.Have = false
	what := fmt.Sprintf("to %s, sha256 %.12s, %d nodes in %d steps", r.Version, r.Sum, len(ids), n)
	if err := d.commit(ctx, actor, what, p, steps, modified); err != nil {
		return api.Upgrade{}, first(err)
	}
	d.soon()
	return d.show(ctx, p)
}

// commit makes a plan the one, if that of the given revision still is.
func (d *Driver) commit(ctx context.Context, actor, what string, p rollout.Plan, steps map[api.NodeID]int, modified int64) error {
	// Listed before the plan is written, so that nobody who begins one after it is in it.
	old, err := store.Keys(ctx, d.o.Store, keyNode)
	if err != nil {
		return err
	}
	if err := d.prepare(ctx, p, steps); err != nil {
		return err
	}
	if err := d.o.Book.Note(ctx, actor, "upgrade", "", p.ID+": "+what); err != nil {
		return err
	}
	err = d.write(ctx, p, modified)
	if errors.Is(err, store.ErrConflict) { // any other error may come after the plan was written
		old, _ = store.Keys(ctx, d.o.Store, under(p.ID))
	} else if err != nil {
		return err
	}
	if err := store.Remove(ctx, d.o.Store, old); err != nil {
		d.o.Log.Warn("entries of other upgrades are left, the next one removes them", "error", err)
	}
	return err
}

func check(q api.UpgradeRequest) error {
	for _, c := range []struct {
		bad  bool
		what string
	}{
		{!api.IsLayer(q.Sum), "sha256 of a release, in hex"},
		{q.Canary < 0, "0 or more canaries"},
		{q.StepPercent < 1 || q.StepPercent > 100, "steps of 1 to 100 percent"},
		{q.PauseMS < 0, "a pause of 0 or more"},
		{q.HaltAfter < 0, "halt after 0 (never) or more failures"},
		{q.ProveMS < 0, "a time of 0 (the default) or more to prove itself"},
	} {
		if c.bad {
			return fmt.Errorf("%w: want %s", ErrInput, c.what)
		}
	}
	return nil
}

// first says what a conflict means to an operator.
func first(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("%w: another operator or AC was first; see g8os upgrade status", ErrRunning)
	}
	return err
}

// Set is what an operator tells an upgrade: pause has nobody new begun until
// resume, which also lets a halted one go on; halt ends it, and another one can
// be begun. Who is under way goes on. Errors wrap ErrInput or ErrNone.
func (d *Driver) Set(ctx context.Context, actor, do string) (api.Upgrade, error) {
	p, modified, err := d.plan(ctx)
	if err != nil {
		return api.Upgrade{}, err
	}
	if !p.Ended.IsZero() {
		return api.Upgrade{}, fmt.Errorf("%w: %s is over", ErrNone, p.ID)
	}
	entries, err := d.entries(ctx, p.ID)
	if err != nil {
		return api.Upgrade{}, err
	}
	next, err := rollout.Told(p, entries, do, actor, d.o.Clock())
	if err != nil {
		return api.Upgrade{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := d.o.Book.Note(ctx, actor, "upgrade", "", p.ID+": "+do); err != nil {
		return api.Upgrade{}, err
	}
	if err := d.write(ctx, next, modified); err != nil {
		return api.Upgrade{}, first(err)
	}
	d.soon()
	return d.show(ctx, next)
}

// Status shows the last upgrade. Errors wrap ErrNone.
func (d *Driver) Status(ctx context.Context) (api.Upgrade, error) {
	p, _, err := d.plan(ctx)
	if err != nil {
		return api.Upgrade{}, err
	}
	return d.show(ctx, p)
}

func (d *Driver) show(ctx context.Context, p rollout.Plan) (api.Upgrade, error) {
	u := api.Upgrade{
		ID: p.ID, Release: p.Release, By: p.By, Started: p.Started, State: string(p.State), Why: p.Why,
		Step: p.Step, Steps: p.Steps, Counts: map[api.UpgradeState]int{}, Nodes: []api.UpgradeNode{},
	}
	if !p.Ended.IsZero() {
		u.Ended = &p.Ended
	}
	entries, err := d.entries(ctx, p.ID)
	if err != nil {
		return u, err
	}
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		e, f := entries[id], d.fact(id)
		u.Counts[e.State]++
		u.Nodes = append(u.Nodes, api.UpgradeNode{Node: id, Name: f.Name, Step: e.Step, State: e.State, Why: rollout.Why(p, e, f)})
	}
	return u, nil
}
