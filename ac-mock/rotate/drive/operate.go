package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/rotate"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Start begins a rotation. One of the kind that waits for nodes only, as it may
// for weeks when one is away, ends in it: who is not done comes along. Errors wrap ErrKind, ErrRunning, ErrNodes, or what
// the book says of a node that it does not know; then nothing has changed.
func (d *Driver) Start(ctx context.Context, actor string, r api.RotateRequest) (api.Rotation, error) {
	first := rotate.First(r.Kind)
	if first == "" {
		return api.Rotation{}, fmt.Errorf("rotate %q: %w: there are %v", r.Kind, ErrKind, api.RotateKinds())
	}
	ids, err := d.meant(ctx, r)
	if err != nil {
		return api.Rotation{}, err
	}
	last, err := d.find(ctx, r.Kind)
	if err != nil && !errors.Is(err, ErrKind) {
		return api.Rotation{}, err
	}
	open := last.ID != "" && last.Done.IsZero()
	if open && !last.OnlyNodes() {
		return api.Rotation{}, fmt.Errorf("rotate %s: %w: %s began at %s", r.Kind, ErrRunning, last.ID, last.Started.Format("2006-01-02 15:04:05 UTC"))
	}
	random := make([]byte, 4)
	if _, err := io.ReadFull(d.o.Rand, random); err != nil {
		return api.Rotation{}, err
	}
	now := d.o.Clock().UTC()
	c := rotate.Campaign{
		ID: fmt.Sprintf("%s-%s-%x", r.Kind, now.Format("20060102T150405"), random), Kind: r.Kind,
		Started: now, By: actor, Stage: first, Staged: now, Overlap: time.Duration(r.OverlapMS) * time.Millisecond,
	}
	if err := d.commit(ctx, last, c, ids); err != nil {
		return api.Rotation{}, d.changed(r.Kind, err)
	}
	d.soon()
	return d.show(ctx, c)
}

// commit makes a campaign the one of its kind, if last still is. Its nodes come
// before it: without it they mean nothing.
func (d *Driver) commit(ctx context.Context, last held, c rotate.Campaign, ids []api.NodeID) error {
	// Listed before the campaign is written, so that nobody who begins one after it is in it.
	old, err := store.Keys(ctx, d.o.Store, keyNode+string(c.Kind)+"/")
	if err != nil {
		return err
	}
	if err := d.begin(ctx, c, ids); err != nil {
		return err
	}
	if last.ID != "" && last.Done.IsZero() && c.Kind.OfNodes() {
		if err := d.takeAlong(ctx, last.Campaign, c, ids); err != nil {
			return err
		}
	}
	if err := d.o.Book.Note(ctx, c.By, "rotate", "", fmt.Sprintf("%s: %d nodes", c.ID, len(ids))); err != nil {
		return err
	}
	err = d.write(ctx, c, last.modified)
	if errors.Is(err, store.ErrConflict) { // any other error may come after it was written
		old, _ = store.Keys(ctx, d.o.Store, under(c.Kind, c.ID))
	} else if err != nil {
		return err
	}
	if err := store.Remove(ctx, d.o.Store, old); err != nil {
		d.o.Log.Warn("entries of other rotations are left, the next one removes them", "kind", c.Kind, "err", err)
	}
	return err
}

// takeAlong makes the nodes that are not done in one campaign those of the next,
// unless they are meant anyway.
func (d *Driver) takeAlong(ctx context.Context, from, to rotate.Campaign, meant []api.NodeID) error {
	entries, err := d.entries(ctx, from)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		e := entries[id]
		if slices.Contains(meant, id) || rotate.State(from.Kind, e, d.fact(id)) == api.RotateRemoved {
			continue
		}
		e.ID = to.ID
		if err := d.keep(ctx, to.Kind, id, e); err != nil {
			return err
		}
	}
	return nil
}

// changed says what a conflict means to an operator.
func (d *Driver) changed(k api.RotateKind, err error) error {
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("rotate %s: %w: another operator or AC was first", k, ErrRunning)
	}
	return fmt.Errorf("rotate %s: %w", k, err)
}

// meant are the nodes of a request.
func (d *Driver) meant(ctx context.Context, r api.RotateRequest) (ids []api.NodeID, err error) {
	switch {
	case r.OverlapMS < 0 || r.OverlapMS > 0 && r.Kind != api.RotateSSH:
		return nil, fmt.Errorf("rotate %s: %w: an overlap of %d ms, want one of 0 or more, of ssh only", r.Kind, ErrNodes, r.OverlapMS)
	case !r.Kind.OfNodes() && len(r.Nodes) > 0:
		return nil, fmt.Errorf("rotate %s: %w: it is the ACs', name no nodes", r.Kind, ErrNodes)
	case !r.Kind.OfNodes():
		return nil, nil
	case len(r.Nodes) == 0:
		ids = d.o.Book.Enrolled()
	}
	for _, ref := range r.Nodes {
		n, err := d.o.Book.Node(ctx, ref)
		if err != nil {
			return nil, err
		}
		if n.State != api.NodeEnrolled {
			return nil, fmt.Errorf("rotate %s of node %s: %w: it is %s", r.Kind, ref, ErrNodes, n.State)
		}
		ids = append(ids, n.ID)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("rotate %s: %w: no node is enrolled", r.Kind, ErrNodes)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (d *Driver) find(ctx context.Context, k api.RotateKind) (held, error) {
	all, err := d.campaigns(ctx)
	if err != nil {
		return held{}, err
	}
	for _, h := range all {
		if h.Kind == k {
			return h, nil
		}
	}
	return held{}, fmt.Errorf("rotation of %s: %w: there has been none", k, ErrKind)
}

// Pause has nobody asked any more until Resume; who was asked goes on.
func (d *Driver) Pause(ctx context.Context, actor string, k api.RotateKind) (api.Rotation, error) {
	return d.set(ctx, actor, k, true)
}

// Resume undoes Pause.
func (d *Driver) Resume(ctx context.Context, actor string, k api.RotateKind) (api.Rotation, error) {
	return d.set(ctx, actor, k, false)
}

func (d *Driver) set(ctx context.Context, actor string, k api.RotateKind, paused bool) (api.Rotation, error) {
	h, err := d.find(ctx, k)
	switch {
	case err != nil:
		return api.Rotation{}, err
	case !h.Done.IsZero():
		return api.Rotation{}, fmt.Errorf("rotation of %s: %w: %s is over", k, ErrKind, h.ID)
	case h.Paused == paused:
		return d.show(ctx, h.Campaign)
	}
	what := map[bool]string{true: "pause", false: "resume"}[paused]
	if err := d.o.Book.Note(ctx, actor, "rotate", "", h.ID+": "+what); err != nil {
		return api.Rotation{}, err
	}
	h.Paused = paused
	if err := d.write(ctx, h.Campaign, h.modified); err != nil {
		return api.Rotation{}, d.changed(k, err)
	}
	d.soon()
	return d.show(ctx, h.Campaign)
}

// Status shows the last rotation of each kind that has had one.
func (d *Driver) Status(ctx context.Context) ([]api.Rotation, error) {
	all, err := d.campaigns(ctx)
	if err != nil {
		return nil, err
	}
	list := []api.Rotation{}
	for _, k := range api.RotateKinds() {
		for _, h := range all {
			if h.Kind != k {
				continue
			}
			r, err := d.show(ctx, h.Campaign)
			if err != nil {
				return nil, err
			}
			list = append(list, r)
		}
	}
	return list, nil
}

// show is a campaign as an operator sees it.
func (d *Driver) show(ctx context.Context, c rotate.Campaign) (api.Rotation, error) {
	r := api.Rotation{ID: c.ID, Kind: c.Kind, Started: c.Started, By: c.By, Paused: c.Paused, Counts: map[api.RotateState]int{}}
	if !c.Done.IsZero() {
		r.Done = &c.Done
	}
	add := func(h api.RotateHolder) {
		r.Counts[h.State]++
		if h.State != api.RotateRemoved {
			r.Holders = append(r.Holders, h)
		}
	}
	entries, err := d.entries(ctx, c)
	if err != nil {
		return r, err
	}
	for id, e := range entries {
		f := d.fact(id)
		add(api.RotateHolder{Node: id, Name: f.Name, State: rotate.State(c.Kind, e, f), Why: rotate.Why(e, f)})
	}
	if !c.Kind.OfNodes() {
		acs, err := d.acs(ctx)
		if err != nil {
			return r, err
		}
		for _, a := range acs {
			state, why := rotate.ACState(c, a, d.o.Clock())
			add(api.RotateHolder{Name: "AC " + a.Name, State: state, Why: why})
		}
	}
	slices.SortFunc(r.Holders, func(a, b api.RotateHolder) int { return strings.Compare(a.Name+string(a.Node), b.Name+string(b.Node)) })
	return r, nil
}
