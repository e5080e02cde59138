package registry

import (
	"context"
	"sync"

	"github.com/g8os/g8os/core/api"
)

// queue hands node ids to one reader. add never blocks; an id that waits
// already is not added again, so the queue is no longer than there are nodes.
type queue struct {
	mu      sync.Mutex
	waiting []api.NodeID
	in      map[api.NodeID]bool
	more    chan struct{}
	out     chan api.NodeID
}

func newQueue() *queue {
	return &queue{in: map[api.NodeID]bool{}, more: make(chan struct{}, 1), out: make(chan api.NodeID)}
}

func (q *queue) add(id api.NodeID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.in[id] {
		return
	}
	q.in[id] = true
	q.waiting = append(q.waiting, id)
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue) next() (id api.NodeID, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return "", false
	}
	id = q.waiting[0]
	q.waiting = q.waiting[1:]
	delete(q.in, id)
	return id, true
}

func (q *queue) run(ctx context.Context) {
	defer close(q.out)
	for {
		id, ok := q.next()
		if !ok {
			select {
			case <-q.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case q.out <- id:
		case <-ctx.Done():
			return
		}
	}
}
