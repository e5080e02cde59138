package jobs

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Prefix is what the keys begin with that Take wants to hear of.
const Prefix = "jobs/"

// Keys in the store.
const (
	keySpec   = Prefix + "spec/"
	keyBegan  = Prefix + "began/"
	keyDone   = Prefix + "done/"
	keyCancel = Prefix + "cancel/"
	keyTurn   = Prefix + "turn/"
)

func (k runKey) under(prefix string) string {
	if k.node == "" {
		return prefix + k.job
	}
	return prefix + k.job + "/" + string(k.node)
}

// split takes a key apart: what it is of, and the job and node.
func split(key string) (kind string, k runKey) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(key, Prefix), "/")
	job, node, _ := strings.Cut(rest, "/")
	return Prefix + kind + "/", runKey{job, api.NodeID(node)}
}

// write is something that is to be written, with others if it can be.
type write struct {
	holds []store.Cond
	ops   []store.Op
	key   runKey
	what  what
	from  time.Time    // not before
	done  chan written // for who waits for it; nil: nobody, and it is tried until it is written
}

type what int

const (
	ofCaller what = iota
	ofResult
	ofBegan
	ofTurns
)

type written struct {
	revision int64
	err      error
}

// beganLate is how long a job runs before that it does is written down: most
// have ended by then.
const beganLate = 100 * time.Millisecond

func resultWrite(k runKey, r delivery.Result, over int64) *write {
	key := k.under(keyDone)
	return &write{key: k, what: ofResult, holds: []store.Cond{{Key: key, Modified: over}}, ops: []store.Op{store.Put(key, encode(r))}}
}

func beganWrite(k runKey, b delivery.Began, from time.Time) *write {
	return &write{key: k, what: ofBegan, ops: []store.Op{store.Put(k.under(keyBegan), encode(b))}, from: from}
}

func turnsWrite(job string, turns []api.NodeID, over int64) *write {
	key := keyTurn + job
	return &write{key: runKey{job: job}, what: ofTurns, holds: []store.Cond{{Key: key, Modified: over}}, ops: []store.Op{store.Put(key, encode(turns))}}
}

// encode writes plain data of ours, which cannot fail.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("jobs: " + err.Error())
	}
	return text
}

func (w *write) size() (n int) {
	for _, op := range w.ops {
		n += len(op.Key) + len(op.Value)
	}
	return n
}
