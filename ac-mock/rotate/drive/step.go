package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/rotate"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Step does what is to be done now, for all rotations. An error is the store's;
// what a part could not do is shown where it stands.
func (d *Driver) Step(ctx context.Context) error {
	all, err := d.campaigns(ctx)
	if err != nil {
		return err
	}
	live := slices.ContainsFunc(all, func(h held) bool { return h.Live() })
	if err := d.present(ctx, live); err != nil {
		return err
	}
	d.mu.Lock()
	answers := d.answers
	d.answers = nil
	d.mu.Unlock()
	var failed error
	for _, h := range all {
		if !h.Done.IsZero() {
			delete(d.machines, h.Kind)
			continue
		}
		if err := d.step(ctx, h, answers); err != nil && !errors.Is(err, store.ErrConflict) {
			failed = errors.Join(failed, fmt.Errorf("rotation %s: %w", h.ID, err)) // the others go on
		}
	}
	return failed
}

func (d *Driver) step(ctx context.Context, h held, answers []answer) error {
	done := false
	var err error
	if h.Stage == rotate.StageNodes {
		done, err = d.nodes(ctx, h.Campaign, answers)
	} else if !h.Paused {
		done, err = d.part(ctx, h.Campaign)
	}
	if err != nil || !done || h.Paused {
		return err
	}
	next := h.Advance(d.o.Clock())
	if next.Stage == rotate.StageNodes && next.Done.IsZero() {
		if err := d.begin(ctx, next, d.o.Book.Enrolled()); err != nil {
			return err
		}
	}
	var more []store.Op
	if !next.Done.IsZero() && h.Kind == api.RotateMaster {
		more = append(more, store.Delete(keyMaster)) // all have it
	}
	if err := d.write(ctx, next, h.modified, more...); err != nil {
		return err
	}
	d.o.Log.Info("rotation goes on", "rotation", h.ID, "done", h.Stage, "next", next.Stage, "over", !next.Done.IsZero())
	d.soon()
	if next.Done.IsZero() {
		return nil
	}
	return d.o.Book.Note(ctx, d.actor(), "rotate", "", h.ID+": over, nobody holds the old one")
}

// nodes asks those whose turn it is and who have a session here.
func (d *Driver) nodes(ctx context.Context, c rotate.Campaign, answers []answer) (done bool, err error) {
	m := d.machines[c.Kind]
	if m == nil || m.campaign != c.ID {
		entries, err := d.entries(ctx, c)
		if err != nil {
			return false, err
		}
		m = &machine{campaign: c.ID, m: rotate.NewMachine(c.Kind, d.o.Pace, entries)}
		d.machines[c.Kind] = m
	}
	for _, a := range answers {
		if e, changed := m.m.Answered(a.id, a.a); changed {
			if err := d.keep(ctx, c.Kind, a.id, e); err != nil {
				return false, err
			}
		}
	}
	if c.Paused {
		return false, nil
	}
	ask, done := m.m.Step(d.o.Clock(), d.fact)
	for _, id := range ask {
		if err := d.ask(ctx, c, m, id); err != nil {
			return false, err
		}
	}
	if !done && c.Kind == api.RotateSSH { // what nodes answered to other ACs
		return d.answered(ctx, c, m)
	}
	return done, nil
}

// ask has one node rotate. A node that cannot is shown with the reason.
func (d *Driver) ask(ctx context.Context, c rotate.Campaign, m *machine, id api.NodeID) error {
	r := api.Rotate{ID: c.ID, Kind: c.Kind, OverlapMS: c.Overlap.Milliseconds()}
	switch c.Kind {
	case api.RotateCA:
		r.Kind = api.RotateCert
	case api.RotateUnlock:
		g, err := d.o.Book.RotateShare(ctx, c.By, id)
		if errors.Is(err, store.ErrUnavailable) {
			return err
		}
		if err != nil {
			if e, changed := m.m.Answered(id, api.Rotate{ID: c.ID, Error: err.Error()}); changed {
				return d.keep(ctx, c.Kind, id, e)
			}
			return nil
		}
		r.Generation = g
	}
	d.o.Sessions.Rotate(id, r)
	return nil
}

// keep writes what a node answered.
func (d *Driver) keep(ctx context.Context, k api.RotateKind, id api.NodeID, e rotate.Entry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = d.o.Store.Txn(ctx, store.Txn{Then: []store.Op{store.Put(under(k, e.ID)+string(id), value)}})
	return err
}

// answered looks at the store for answers that other ACs took.
func (d *Driver) answered(ctx context.Context, c rotate.Campaign, m *machine) (done bool, err error) {
	entries, err := d.entries(ctx, c)
	if err != nil {
		return false, err
	}
	done = true
	for id, e := range entries {
		if e.Done {
			m.m.Answered(id, api.Rotate{ID: e.ID, Done: true})
		}
		done = done && rotate.State(c.Kind, e, d.fact(id)) == api.RotateRemoved
	}
	return done, nil
}

// present writes that this AC is there: once, and again and again while a
// rotation may wait for it.
func (d *Driver) present(ctx context.Context, live bool) error {
	now := d.o.Clock().UTC()
	recent := now.Sub(d.written) < rotate.AwayAfter/3 && !now.Before(d.written)
	if !d.written.IsZero() && (recent || !live) {
		return nil
	}
	return d.report(ctx, now)
}

func (d *Driver) report(ctx context.Context, now time.Time) error {
	if d.written.IsZero() { // what an earlier run of this AC did, it did
		kv, err := d.o.Store.Get(ctx, keyAC+d.o.Name)
		var before rotate.AC
		if err == nil && json.Unmarshal(kv.Value, &before) == nil && before.Did != nil {
			d.own.Did = before.Did
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	d.own.Seen = now
	value, err := json.Marshal(d.own)
	if err != nil {
		return err
	}
	if _, err := d.o.Store.Txn(ctx, store.Txn{Then: []store.Op{store.Put(keyAC+d.o.Name, value)}}); err != nil {
		return err
	}
	d.written = now
	return nil
}
