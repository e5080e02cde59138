package jobs

import (
	"context"
	"maps"
	"slices"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// forgottenAtOnce bounds the jobs that one tick forgets.
const forgottenAtOnce = 50

// forget deletes jobs from the store. A job's spec goes first, in one
// transaction with as much as fits: whatever is left of it, should this AC die,
// is of a job that there is not, and goes as such.
func (q *Queue) forget(ctx context.Context, ids []string) {
	keys := q.leftOver()
	for _, id := range ids {
		keys = append(keys, q.keysOf(id)...)
	}
	for part := range slices.Chunk(keys, store.MaxOps) {
		ops := make([]store.Op, len(part))
		for i, k := range part {
			ops[i] = store.Delete(k)
		}
		if _, err := q.txn(ctx, store.Txn{Then: ops}); err != nil {
			if ctx.Err() == nil {
				q.o.Log.Warn("old jobs cannot be forgotten", "keys", len(ops), "err", err)
			}
			return
		}
	}
}

// leftOver takes the keys of jobs that there are not.
func (q *Queue) leftOver() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	keys := slices.Sorted(maps.Keys(q.orphans))
	keys = slices.DeleteFunc(keys, func(key string) bool {
		_, k := split(key)
		_, known := q.m.Spec(k.job)
		return known
	})
	clear(q.orphans)
	return keys
}

// keysOf lists what the store may have of a job, its spec first.
func (q *Queue) keysOf(id string) []string {
	q.mu.Lock()
	nodes := q.m.Nodes(id)
	q.mu.Unlock()
	keys := []string{keySpec + id, keyTurn + id, keyCancel + id}
	for _, n := range nodes {
		k := runKey{id, n}
		keys = append(keys, k.under(keyDone), k.under(keyBegan), k.under(keyCancel))
	}
	return keys
}

// Waiting says how many jobs have not ended, each counted for each node.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.m.Waiting()
}

// Spec is a job as it was made.
func (q *Queue) Spec(id string) (delivery.Spec, error) { return q.spec(id) }

// Result is how a job has ended on a node; nil when it has not.
func (q *Queue) Result(id string, node api.NodeID) *delivery.Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.m.Result(id, node)
}
