package services

import (
	"context"
	"time"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
)

// askEvery is how often a service that starts is asked whether it is ready.
const askEvery = 100 * time.Millisecond

// tool is the runtime of a service of the layer: its own program, which ends with
// PID 1 and is never adopted.
type tool struct {
	s Service
	o Options
}

var _ runtime.Runtime = tool{}

func (t tool) process() process.Spec {
	env := t.s.Env
	if len(env) == 0 {
		env = Env
	}
	return process.Spec{Name: t.s.Name, Path: t.s.Path, Args: t.s.Args, Env: env, RunDir: t.o.RunDir, LogDir: t.o.LogDir, Grace: t.s.Grace, Log: t.o.Log}
}

func (t tool) Start(context.Context) (runtime.Instance, error) {
	p, err := process.Start(t.process())
	if err != nil {
		return nil, err
	}
	return running{p, t.s}, nil
}

func (t tool) Adopt() (runtime.Instance, error) { return nil, runtime.ErrNotRunning }

func (t tool) LastExit() order.Exit { return order.Exit{Why: "how it ended is not known"} }

func (t tool) Logs(ctx context.Context, lines int, follow bool, write func([]byte) error) error {
	return process.Logs(ctx, t.process(), lines, follow, write)
}

// running is one that runs.
type running struct {
	*process.Process
	s Service
}

func (r running) PID() int { return r.ID().PID }

func (r running) Exit() order.Exit { return runtime.ExitOf(r.Err()) }

func (r running) Stop() error { return r.Process.Stop(context.Background()) }

// Ready asks until the service answers, or never will.
func (r running) Ready(ctx context.Context) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, r.s.Limit)
		err := r.s.Ready(ask)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.Died():
			return r.Err()
		case <-tick.C:
		}
	}
}
