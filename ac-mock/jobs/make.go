package jobs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// takenWithin is how long a job without a time to live may wait for nodes that
// were there when it was made.
const takenWithin = 30 * time.Second

// NewID makes an id for a job.
func NewID() string { return strings.ToLower(rand.Text()[:16]) }

// Order is a job that is to be made: a request, by whom, and for which nodes.
// Refused are those of them that are away, with why that ends it there.
type Order struct {
	Request api.JobRequest // checked; its ID is set
	By      string
	Nodes   []api.Node
	Refused map[api.NodeID]string
	RetryOf string
}

// Make makes a job. It is durable when Make returns. A request that is repeated
// with its id makes no second one. Errors wrap ErrTaken, ErrFull, or are of the
// store; then Make may be called again.
func (q *Queue) Make(ctx context.Context, o Order) (api.Job, error) {
	now := q.o.Clock()
	s := delivery.Spec{
		ID: o.Request.ID, By: o.By, Created: now.UTC(), Expires: now.Add(takenWithin).UTC(), Request: o.Request, Refused: o.Refused, RetryOf: o.RetryOf,
	}
	if o.Request.TTLMS > 0 {
		s.Expires = now.Add(time.Duration(o.Request.TTLMS) * time.Millisecond).UTC()
	}
	for _, n := range o.Nodes {
		s.Nodes = append(s.Nodes, n.ID)
	}
	if j, err := q.again(s); err != nil || j.ID != "" {
		return j, err
	}
	ops, err := q.audited(o, s)
	if err != nil {
		return api.Job{}, err
	}
	key := keySpec + s.ID
	err = q.commit(ctx, &write{holds: []store.Cond{{Key: key}}, ops: append(ops, store.Put(key, encode(s)))})
	if errors.Is(err, store.ErrConflict) {
		err = q.doneBefore(ctx, s)
	}
	if err != nil {
		return api.Job{}, fmt.Errorf("job %s: %w", s.ID, err)
	}
	q.o.Noted()
	return q.shown(s), nil
}

// again finds the job that a request has made already, or says why it cannot
// make one.
func (q *Queue) again(s delivery.Spec) (api.Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if old, ok := q.m.Spec(s.ID); ok {
		if !same(old, s) {
			return api.Job{}, fmt.Errorf("job %s: %w by another request", s.ID, ErrTaken)
		}
		j, _ := q.m.Job(s.ID, true, q.o.Name)
		return j, nil
	}
	if waiting := q.m.Waiting(); waiting+len(s.Nodes) > q.o.Bounds.Waiting {
		return api.Job{}, fmt.Errorf("job %s for %d nodes: %w: %d of at most %d", s.ID, len(s.Nodes), ErrFull, waiting, q.o.Bounds.Waiting)
	}
	return api.Job{}, nil
}

// doneBefore looks who has written a job of this id before: the same request is
// done.
func (q *Queue) doneBefore(ctx context.Context, s delivery.Spec) error {
	kv, err := q.o.Store.Get(ctx, keySpec+s.ID)
	if err != nil {
		return err
	}
	var old delivery.Spec
	if err := json.Unmarshal(kv.Value, &old); err != nil {
		return err
	}
	if !same(old, s) {
		return fmt.Errorf("%w by another request", ErrTaken)
	}
	if q.inline {
		return nil
	}
	return q.await(ctx, kv.Modified)
}

func same(a, b delivery.Spec) bool {
	return a.By == b.By && bytes.Equal(encode(a.Request), encode(b.Request))
}

// shown is a job as it stands now.
func (q *Queue) shown(s delivery.Spec) api.Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j, ok := q.m.Job(s.ID, true, q.o.Name); ok {
		return j
	}
	return api.Job{ID: s.ID, By: s.By, Created: s.Created, Expires: s.Expires, To: s.Request.To, Nodes: len(s.Nodes), Command: delivery.Command(s.Request.Exec)}
}

// audited is the entry of a job: one, for however many nodes; none if it
// changes nothing.
func (q *Queue) audited(o Order, s delivery.Spec) ([]store.Op, error) {
	if s.Request.Exec.Builtin.ReadOnly() {
		return nil, nil
	}
	var node api.NodeID
	on := fmt.Sprintf(" on %d nodes", len(s.Nodes))
	if len(s.Nodes) == 1 {
		node, on = s.Nodes[0], ""
	}
	what := fmt.Sprintf("job %s: %s%s", s.ID, described(o.Request.Exec), on)
	if o.RetryOf != "" {
		what += ", again after " + o.RetryOf
	}
	op, err := q.o.Entry(o.By, "exec", node, what)
	return []store.Op{op}, err
}

func described(e api.ExecRequest) string {
	if e.Builtin != "" {
		return "builtin " + string(e.Builtin)
	}
	if len(e.Script) > 0 {
		return fmt.Sprintf("script of %d bytes with %d arguments", len(e.Script), len(e.Argv))
	}
	return fmt.Sprintf("%s with %d arguments", e.Argv[0], len(e.Argv)-1)
}

// Cancel stops a job on a node, or wherever it has not ended if node is empty.
// Errors wrap ErrUnknown, or are of the store.
func (q *Queue) Cancel(ctx context.Context, by, id string, node api.NodeID) (api.Job, error) {
	s, err := q.spec(id)
	if err != nil {
		return api.Job{}, err
	}
	if j := q.shown(s); j.Ended != nil {
		return j, nil
	}
	entry, err := q.o.Entry(by, "job cancel", node, "job "+id)
	if err != nil {
		return api.Job{}, err
	}
	key := runKey{id, node}.under(keyCancel)
	if err := q.commit(ctx, &write{ops: []store.Op{entry, store.Put(key, encode(by))}}); err != nil {
		return api.Job{}, fmt.Errorf("cancel of job %s: %w", id, err)
	}
	q.o.Noted()
	if !q.inline {
		q.Tick(ctx) // of nodes that are away nobody else decides
	}
	return q.shown(s), nil
}

// Again says what a job was, and on which nodes it did not succeed. Errors wrap
// ErrUnknown, or ErrState: it is not over, or succeeded everywhere.
func (q *Queue) Again(id string) (api.JobRequest, error) {
	s, err := q.spec(id)
	if err != nil {
		return api.JobRequest{}, err
	}
	q.mu.Lock()
	nodes, over := q.m.Failed(id)
	q.mu.Unlock()
	switch {
	case !over:
		return api.JobRequest{}, fmt.Errorf("job %s: %w: it is not over", id, ErrState)
	case len(nodes) == 0:
		return api.JobRequest{}, fmt.Errorf("job %s: %w: it succeeded everywhere", id, ErrState)
	}
	r := s.Request
	r.ID, r.To = "", api.Address{}
	for _, n := range nodes {
		r.To.Nodes = append(r.To.Nodes, string(n))
	}
	return r, nil
}

func (q *Queue) spec(id string) (delivery.Spec, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s, ok := q.m.Spec(id)
	if !ok {
		return s, fmt.Errorf("job %s: %w", api.Shown(id, 64), ErrUnknown)
	}
	return s, nil
}

// Has says whether there is a job of an id.
func (q *Queue) Has(id string) bool {
	_, err := q.spec(id)
	return err == nil
}

// Job is one job with its runs. Errors wrap ErrUnknown.
func (q *Queue) Job(id string) (api.Job, error) {
	s, err := q.spec(id)
	if err != nil {
		return api.Job{}, err
	}
	return q.shown(s), nil
}

// Jobs lists jobs without their runs, the newest first.
func (q *Queue) Jobs(f delivery.Query) []api.Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.m.List(f)
}
