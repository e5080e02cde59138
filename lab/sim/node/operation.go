package node

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/g8os/g8os/lab/sim/engine"
)

// operation is an effect that takes time: production code that waits for the
// network in between, up to a deadline.
type operation struct {
	core      *core
	id        int
	proc      *engine.Proc
	ctx       context.Context
	cancel    context.CancelCauseFunc
	interrupt func(error) // ends what it waits for; nil: it does not wait
	turn      func()      // gives it its turn at the vault; nil: it does not wait for one
	clients   []*client
}

// start begins an operation.
func (c *core) start(id int, timeout time.Duration, do func(*operation)) {
	op := &operation{core: c, id: id}
	op.ctx, op.cancel = context.WithCancelCause(context.Background())
	c.operations[id] = op
	c.after(timeout, func() { op.end(context.DeadlineExceeded) })
	c.e.After(0, func() { // not within a step
		if c.Node.core != c || c.operations[id] != op {
			return
		}
		op.proc = c.e.Go(func(p *engine.Proc) {
			op.proc = p
			do(op)
		}, op.over)
	})
}

// over forgets an operation that has come to its end, and its connections.
func (op *operation) over() {
	delete(op.core.operations, op.id)
	op.cancel(nil)
	for _, k := range op.clients {
		k.close()
	}
	op.core.release(op)
}

// end ends an operation early: whatever it waits for fails.
func (op *operation) end(err error) {
	if op.core.operations[op.id] != op {
		return
	}
	op.cancel(err)
	if op.interrupt != nil {
		op.interrupt(err)
	}
}

func (c *core) inOrder() []*operation {
	var all []*operation
	for _, id := range slices.Sorted(maps.Keys(c.operations)) {
		if op := c.operations[id]; op.proc != nil {
			all = append(all, op)
		}
	}
	return all
}

// outcome is an answer or the reason why there is none.
type outcome[T any] struct {
	value T
	err   error
}

// wait parks an operation until it is answered or ended.
func wait[T any](op *operation, begin func(answer func(T, error))) (T, error) {
	if err := context.Cause(op.ctx); err != nil {
		var none T
		return none, err
	}
	got := engine.Await(op.proc, func(answer func(outcome[T])) {
		op.interrupt = func(err error) { answer(outcome[T]{err: err}) }
		begin(func(v T, err error) { op.core.resumes(func() { answer(outcome[T]{v, err}) }) })
	})
	op.interrupt = nil
	return got.value, got.err
}

// resumes lets an answer in, when g8os_core is not frozen.
func (c *core) resumes(do func()) {
	switch {
	case c.Node.core != c:
	case c.frozen:
		c.missed = append(c.missed, do)
	default:
		do()
	}
}

// lock has one operation at a time use the vault and the certificate.
func (op *operation) lock() error {
	c := op.core
	c.busy = append(c.busy, op)
	if len(c.busy) == 1 {
		return nil
	}
	_, err := wait(op, func(answer func(struct{}, error)) {
		op.turn = func() { answer(struct{}{}, nil) }
	})
	op.turn = nil
	return err
}

// release gives the turn to the next.
func (c *core) release(op *operation) {
	at := slices.Index(c.busy, op)
	if at < 0 {
		return
	}
	c.busy = slices.Delete(c.busy, at, at+1)
	if at == 0 && len(c.busy) > 0 && c.busy[0].turn != nil {
		c.e.After(0, c.busy[0].turn)
	}
}
