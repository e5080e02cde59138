package docker

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/ready"
	"github.com/g8os/g8os/core/services/runtime"
)

const (
	patience = 10 * time.Second // for an answer of dockerd
	again    = time.Second      // between two questions while dockerd is away
)

// instance is a container that runs.
type instance struct {
	c       *Container
	id      string
	pid     int
	started string // as docker writes times
	died    chan struct{}
	exit    atomic.Pointer[order.Exit]
}

var _ runtime.Instance = (*instance)(nil)

func (c *Container) watch(is *container.InspectResponse) *instance {
	i := &instance{c: c, id: is.ID, pid: is.State.Pid, started: is.State.StartedAt, died: make(chan struct{})}
	c.e.live.Go(i.wait)
	return i
}

// wait sees a container to its end. While dockerd is away nobody knows how it
// is, and it counts as one that runs.
func (i *instance) wait() {
	e := i.c.e
	for {
		answer, failed := e.client.ContainerWait(e.ctx, i.id, container.WaitConditionNotRunning)
		select {
		case <-answer:
		case <-failed:
		case <-e.ctx.Done():
			return
		}
		is, err := i.c.find(e.ctx)
		switch {
		case err == nil && (is == nil || is.ID != i.id):
			i.ended(order.Exit{Why: "its container was removed"})
			return
		case err == nil && !is.State.Running:
			i.ended(i.said(exitOf(is.State)))
			return
		}
		select {
		case <-time.After(again):
		case <-e.ctx.Done():
			return
		}
	}
}

func (i *instance) ended(x order.Exit) {
	i.exit.Store(&x)
	i.c.e.log.Info("container ended", "service", i.c.s.Name, "container", i.id[:12], "cause", x.Why)
	close(i.died)
}

// said adds the last lines of output.
func (i *instance) said(x order.Exit) order.Exit {
	ctx, cancel := context.WithTimeout(i.c.e.ctx, patience)
	defer cancel()
	var lines []string
	err := i.c.logs(ctx, container.LogsOptions{Tail: "3", Since: i.started}, func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	})
	if err == nil && len(lines) > 0 {
		x.Why += ": it said: " + strings.Join(lines, "; ")
	}
	return x
}

func (i *instance) PID() int { return i.pid }

func (i *instance) Died() <-chan struct{} { return i.died }

// Exit says how it ended, after Died.
func (i *instance) Exit() order.Exit {
	if x := i.exit.Load(); x != nil {
		return *x
	}
	return order.Exit{Why: "it runs"}
}

func (i *instance) err() error { return fmt.Errorf("%s: %s", i.c.s.Name, i.Exit().Why) }

// Ready waits as the declaration says.
func (i *instance) Ready(ctx context.Context) error {
	lines := func(ctx context.Context, write func([]byte) error) error {
		return i.c.logs(ctx, container.LogsOptions{Follow: true, Since: i.started}, write)
	}
	return ready.Wait(ctx, i.c.s.Ready, ready.Service{Died: i.died, Err: i.err, Lines: lines})
}

// Stop ends it: the signal to its first process, and KILL to all after the
// grace.
func (i *instance) Stop() error {
	select {
	case <-i.died:
		return nil // with its last process all the others went
	default:
	}
	grace := i.c.s.Grace
	ctx, cancel := context.WithTimeout(i.c.e.ctx, grace+patience)
	defer cancel()
	seconds := int((grace + time.Second - 1) / time.Second)
	if err := i.c.e.client.ContainerStop(ctx, i.id, container.StopOptions{Signal: "SIG" + i.c.s.Signal, Timeout: &seconds}); err != nil {
		i.c.e.log.Warn("docker does not end a container", "service", i.c.s.Name, "error", err)
	}
	select {
	case <-i.died: // there is no other end: two of one service must not be
		return nil
	case <-i.c.e.ctx.Done():
		return nil
	}
}
