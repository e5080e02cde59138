package services

import (
	"context"
	"errors"
	"sync"

	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
)

// life is one run of a service, from its preparation to its end.
type life struct {
	d   Service
	ctx context.Context // ends when it is to end
	end context.CancelFunc

	mu sync.Mutex
	is runtime.Instance // nil: not started yet
}

func newLife(d Service) *life {
	l := &life{d: d}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// pid is its process; 0: there is none yet.
func (l *life) pid() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is == nil {
		return 0
	}
	return l.is.PID()
}

func (l *life) has(i runtime.Instance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.is = i
}

// begin starts a service and watches over it.
func (s *Supervisor) begin(l *life) {
	i, err := s.start(l)
	if err != nil {
		l.end()
		s.tell(order.Event{Kind: order.Ended, Name: l.d.Name, Exit: order.Exit{Why: err.Error(), Unmet: errors.Is(err, runtime.ErrUnmet)}})
		return
	}
	l.has(i)
	s.watch(l, false)
}

func (s *Supervisor) start(l *life) (runtime.Instance, error) {
	if l.d.Prepare != nil {
		ctx, cancel := context.WithCancel(l.ctx)
		if l.d.Limit > 0 {
			ctx, cancel = context.WithTimeout(l.ctx, l.d.Limit)
		}
		defer cancel()
		if err := l.d.Prepare(ctx); err != nil {
			return nil, err
		}
	}
	if l.ctx.Err() != nil {
		return nil, errors.New("was told to end before it was started")
	}
	if s.ctx.Err() != nil {
		return nil, s.ctx.Err()
	}
	return l.d.Runtime.Start(l.ctx)
}

// watch sees a service to its end, or until it is left.
func (s *Supervisor) watch(l *life, ready bool) {
	defer l.end()
	asked := make(chan struct{})
	ctx, cancel := context.WithCancel(l.ctx)
	defer func() { cancel(); <-asked }()
	go func() {
		defer close(asked)
		if !ready {
			ready = l.is.Ready(ctx) == nil
		}
		if ready && ctx.Err() == nil {
			s.answers(l.d.Name)
		}
	}()
	select {
	case <-s.ctx.Done():
		return
	case <-l.is.Died():
	case <-l.ctx.Done():
		if err := l.is.Stop(); err != nil {
			s.o.Log.Warn("service", "service", l.d.Name, "error", err)
		}
	}
	cancel()
	<-asked
	if err := l.is.Stop(); err != nil { // what it has left behind
		s.o.Log.Warn("service", "service", l.d.Name, "error", err)
	}
	s.tell(order.Event{Kind: order.Ended, Name: l.d.Name, Exit: l.is.Exit()})
}

func (s *Supervisor) answers(name string) {
	s.tell(order.Event{Kind: order.Answers, Name: name})
	if s.o.Ready != nil {
		s.o.Ready(name)
	}
}
