package lab

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/g8os/g8os/lab/topology"
)

// A machine that is emulated wants a whole core until it is managed, and next to
// nothing afterwards. Fifty that want it at once get so little each that no
// handshake meets its deadline, and what they try again costs more than what
// they do: none ever gets there. So they are let go in waves: the next one when
// one is managed.

// waveTurn is how long a machine may keep others waiting: one that cannot be
// managed, as nobody answers it, holds up nobody for longer.
const waveTurn = time.Minute

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
	return inWaves(ctx, nodes, waveSize(), start, func(ctx context.Context, n *Node) {
		if l.opt.Hold {
			return
		}
		limited, cancel := context.WithTimeout(ctx, waveTurn)
		defer cancel()
		if _, err := n.WaitManaged(limited); err == nil {
			told.managed()
		}
	})
}

// inWaves starts everything, size at a time: a place is free again when settle
// of what had it returns. It returns when all are started, or one could not be;
// settle of those that nobody waits for is cancelled.
func inWaves[T any](ctx context.Context, all []T, size int, start func(context.Context, T) error, settle func(context.Context, T)) error {
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
			defer func() { <-places }()
			errs[i] = start(ctx, t)
			starting.Done()
			if more && errs[i] == nil {
				settle(watching, t)
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
