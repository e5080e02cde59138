package hub

import (
	"context"
	"sync"

	"github.com/g8os/g8os/core/api"
)

// Stream is what an operator gets of a job: events in order, each once, the
// last one with Done set. One goroutine at a time may use it. Leave must be
// called at the end, whatever the end is.
type Stream struct {
	hub *Hub
	job string

	mu    sync.Mutex
	queue []numbered
	ready chan struct{} // holds one token while the queue may have something
}

type numbered struct {
	event api.ExecEvent
	seq   uint64
}

func newStream(h *Hub, job string) *Stream {
	return &Stream{hub: h, job: job, ready: make(chan struct{}, 1)}
}

func (s *Stream) push(e api.ExecEvent, seq uint64) {
	s.mu.Lock()
	s.queue = append(s.queue, numbered{e, seq})
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Job is the id of the job.
func (s *Stream) Job() string { return s.job }

// Deliver waits for the next event, hands it to take, and tells the node that
// it may forget it once take has returned nil.
func (s *Stream) Deliver(ctx context.Context, take func(api.ExecEvent) error) (done bool, err error) {
	n, err := s.next(ctx)
	if err != nil {
		return false, err
	}
	if err := take(n.event); err != nil {
		return false, err
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.perform(s.hub.jobs.Taken(s.job, n.seq, len(n.event.Data)))
	return n.event.Done, nil
}

func (s *Stream) next(ctx context.Context) (numbered, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			n := s.queue[0]
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return n, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return numbered{}, ctx.Err()
		case <-s.ready:
		}
	}
}

// Leave ends the stream. With cancel set, the job is stopped if it still runs.
func (s *Stream) Leave(cancel bool) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.streams, s.job)
	s.hub.perform(s.hub.jobs.Leave(s.job, cancel))
}
