package lab

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/topology"
	"github.com/g8os/g8os/lab/turn"
)

// A machine that is emulated wants a whole core until it is managed, and next to
// nothing afterwards. Fifty that want it at once get so little each that no
// handshake meets its deadline, and what they try again costs more than what
// they do: none ever gets there. So they are let go in waves: the next one when
// one is managed, or gets no further (package turn).

// waveSize is how many machines climb at a time: each of them waits for others
// now and then, so that fewer would leave cores idle.
func waveSize() int { return 2 * runtime.NumCPU() }

// startMachines gives power to virtual machines and lets them go, in waves; it
// does not wait for the last wave to be managed. Power comes in waves too: a
// machine that is put together takes seconds of a core before it waits at the gate.
func (l *Lab) startMachines(ctx context.Context, nodes []*Node) error {
	told := progress{of: len(nodes), say: l.opt.Progress}
	start := func(ctx context.Context, n *Node) error {
		err := l.power(ctx, []topology.Machine{n.plan})
		if err != nil || l.opt.Hold {
			return err
		}
		return n.StartCore(ctx)
	}
	return inWaves(ctx, nodes, waveSize(), start, func(ctx context.Context, n *Node, free func()) {
		if !l.opt.Hold && n.climbs(ctx, free) {
			told.managed()
		}
	})
}

// turnEvery is how often it is asked whether a machine's turn is over.
const turnEvery = time.Second

// climbs returns once a machine is managed, or false when ctx ends; it calls
// over when its turn is.
func (n *Node) climbs(ctx context.Context, over func()) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	says := make(chan api.Status)
	go n.Watch(ctx, func(s api.Status, _ bool) bool {
		select {
		case says <- s: // of one that does not answer: no phase
		case <-ctx.Done():
		}
		return ctx.Err() == nil
	})
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for t := turn.Begin(time.Now()); ; {
		select {
		case <-ctx.Done():
			return false
		case s := <-says:
			t = t.Step(s.Phase, s.Phase == PhaseManaged, time.Now())
		case <-tick.C:
		}
		if t.Over(time.Now()) {
			over()
		}
		if t.Managed() {
			return true
		}
	}
}

// inWaves starts everything, size at a time: a place is free again when settle
// of what had it says so, or returns. It returns when all are started, or one
// could not be; settle of those that nobody waits for is cancelled.
func inWaves[T any](ctx context.Context, all []T, size int, start func(context.Context, T) error, settle func(ctx context.Context, t T, free func())) error {
	watching, stop := context.WithCancel(ctx)
	var starting, settling sync.WaitGroup
	defer settling.Wait()
	defer stop()
	places := make(chan struct{}, size)
	errs := make([]error, len(all))
	for i, t := range all {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			starting.Wait()
			return errors.Join(append(errs, ctx.Err())...)
		}
		more := len(all) > size
		starting.Add(1)
		settling.Go(func() {
			free := sync.OnceFunc(func() { <-places })
			defer free()
			errs[i] = start(ctx, t)
			starting.Done()
			if more && errs[i] == nil {
				settle(watching, t, free)
			}
		})
	}
	starting.Wait()
	return errors.Join(errs...)
}

// progress says how many machines of a crowd are managed, now and then.
type progress struct {
	mu   sync.Mutex
	of   int
	done int
	say  func(string)
}

func (p *progress) managed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done++; p.done%waveSize() == 0 {
		p.say(fmt.Sprintf("%d of %d machines managed; %d climb at a time", p.done, p.of, waveSize()))
	}
}
