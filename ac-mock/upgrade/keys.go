package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/upgrade/rollout"
	"github.com/g8os/g8os/core/api"
)

const (
	keyPlan = "upgrade/plan"
	keyNode = "upgrade/node/"
)

// prepare writes the nodes of a plan: without it they mean nothing.
func (d *Driver) prepare(ctx context.Context, p rollout.Plan, steps map[api.NodeID]int) error {
	var ops []store.Op
	for _, id := range slices.Sorted(maps.Keys(steps)) {
		op, err := entryOp(id, rollout.Entry{ID: p.ID, Step: steps[id], State: api.UpgradeWaiting})
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	return store.Write(ctx, d.o.Store, ops)
}

func (d *Driver) plan(ctx context.Context) (p rollout.Plan, modified int64, err error) {
	kv, err := d.o.Store.Get(ctx, keyPlan)
	if errors.Is(err, store.ErrNotFound) {
		return p, 0, fmt.Errorf("%w: there has been none", ErrNone)
	}
	if err != nil {
		return p, 0, err
	}
	if err := json.Unmarshal(kv.Value, &p); err != nil {
		return p, 0, fmt.Errorf("%s: %w", keyPlan, err)
	}
	return p, kv.Modified, nil
}

// under is where a plan's entries are: two plans that are begun at once do not
// share any, whichever of them becomes the one.
func under(plan string) string { return keyNode + plan + "/" }

func (d *Driver) entries(ctx context.Context, id string) (map[api.NodeID]rollout.Entry, error) {
	all := map[api.NodeID]rollout.Entry{}
	under := under(id)
	_, err := store.Each(ctx, d.o.Store, under, func(kv store.KV) error {
		var e rollout.Entry
		if err := json.Unmarshal(kv.Value, &e); err != nil {
			return fmt.Errorf("%s: %w", kv.Key, err)
		}
		all[api.NodeID(strings.TrimPrefix(kv.Key, under))] = e
		return nil
	})
	return all, err
}

func (d *Driver) keep(ctx context.Context, id api.NodeID, e rollout.Entry) error {
	op, err := entryOp(id, e)
	if err != nil {
		return err
	}
	_, err = d.o.Store.Txn(ctx, store.Txn{Then: []store.Op{op}})
	return err
}

func entryOp(id api.NodeID, e rollout.Entry) (store.Op, error) {
	value, err := json.Marshal(e)
	return store.Put(under(e.ID)+string(id), value), err
}

// write puts a plan into the store, if it is still as it was read.
func (d *Driver) write(ctx context.Context, p rollout.Plan, modified int64) error {
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = d.o.Store.Txn(ctx, store.Txn{If: []store.Cond{{Key: keyPlan, Modified: modified}}, Then: []store.Op{store.Put(keyPlan, value)}})
	return err
}

func samePlan(a, b rollout.Plan) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
