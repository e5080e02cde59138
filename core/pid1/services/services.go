// Package services runs what the tools layer brings: Open vSwitch and docker.
//
// It promises that they run once the layer is mounted and until Stop, each
// started again when it ends (package order decides when), that what each
// writes is in NAME.log beside the boot log, bounded, and that a service whose
// program is not in the layer is left out. What runs, and how it is known to
// be ready, is the table in tools.go. It is not for programs of the operator's.
package services

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/g8os/g8os/core/pid1/services/order"
	"github.com/g8os/g8os/core/process"
)

// Service is one program to keep running.
type Service struct {
	Name    string
	After   []string                    // names of services that must be ready before
	Path    string                      // of the program; not there: left out
	Args    []string                    //
	Env     []string                    // empty: Env
	Prepare func(context.Context) error // before every start
	Ready   func(context.Context) error // nil when it answers
	Limit   time.Duration               // for Prepare, and until it answers
	Grace   time.Duration               // between TERM and KILL
}

// Env is what services find: PID 1 has none.
var Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}

// askEvery is how often a service that starts is asked whether it is ready.
const askEvery = 100 * time.Millisecond

// Options says where things are.
type Options struct {
	RunDir  string // pid files
	LogDir  string
	Changed func()            // Status has another answer; nil: nobody wants to know
	Ready   func(name string) // a service answers, also after it was started again; nil: as above
	Log     *slog.Logger
}

// Group is some services. Its methods may be called from anywhere.
type Group struct {
	o      Options
	all    map[string]Service
	events chan order.Event
	begun  chan struct{} // closed when Run has begun
	done   chan struct{} // closed when all have ended
	once   sync.Once

	mu     sync.Mutex
	status string
}

// New prepares the services; Run runs them.
func New(o Options) *Group {
	return &Group{o: o, all: map[string]Service{}, events: make(chan order.Event), begun: make(chan struct{}), done: make(chan struct{})}
}

// Status says in one line how the services are; empty before Run.
func (g *Group) Status() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// Run runs the services until Stop or until ctx ends; it returns when all have
// ended.
func (g *Group) Run(ctx context.Context, services []Service) {
	var plain []order.Service
	for _, s := range services {
		if _, err := os.Stat(s.Path); err != nil {
			g.o.Log.Warn("a service is left out: its program is not there", "service", s.Name, "error", err)
			continue
		}
		g.all[s.Name] = s
		plain = append(plain, order.Service{Name: s.Name, After: s.After, Limit: s.Limit})
	}
	close(g.begun)
	g.loop(ctx, order.New(plain))
}

// Stop ends the services in order, and returns when they have ended or ctx has.
func (g *Group) Stop(ctx context.Context) error {
	select {
	case <-g.begun:
	default:
		return nil // never run
	}
	g.once.Do(func() { go g.send(order.Event{Kind: order.Stop}) })
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the services: %w: %s", ctx.Err(), g.Status())
	}
}

func (g *Group) send(e order.Event) {
	select {
	case g.events <- e:
	case <-g.done:
	}
}

func (g *Group) loop(ctx context.Context, m *order.Machine) {
	defer close(g.done)
	running := map[string]context.CancelFunc{}
	start := time.Now()
	event := order.Event{Kind: order.Began}
	ended := ctx.Done()
	for {
		effects, next := m.Step(time.Since(start), event)
		g.show(m.Status())
		for _, e := range effects {
			switch e.Kind {
			case order.Start:
				one, cancel := context.WithCancel(context.WithoutCancel(ctx))
				running[e.Name] = cancel
				go g.run(one, g.all[e.Name])
			case order.End:
				running[e.Name]()
			case order.Done:
				return
			}
		}
		tick, stop := after(next, start)
		select {
		case event = <-g.events:
		case <-tick:
			event = order.Event{Kind: order.Tick}
		case <-ended:
			event, ended = order.Event{Kind: order.Stop}, nil
		}
		stop()
		if event.Kind == order.Ended {
			running[event.Name]()
			delete(running, event.Name)
		}
	}
}

// after ticks at a moment of the machine's time; zero: never.
func after(next time.Duration, start time.Time) (<-chan time.Time, func()) {
	if next == 0 {
		return nil, func() {}
	}
	t := time.NewTimer(next - time.Since(start))
	return t.C, func() { t.Stop() }
}

func (g *Group) show(status string) {
	g.mu.Lock()
	changed := g.status != status
	g.status = status
	g.mu.Unlock()
	if changed && g.o.Changed != nil {
		g.o.Changed()
	}
}

// run is one run of a service, from its preparation to its end.
func (g *Group) run(ctx context.Context, s Service) {
	why := "ended by itself"
	if err := g.live(ctx, s); err != nil {
		why = err.Error()
		if ctx.Err() == nil {
			g.o.Log.Warn("a service has ended", "service", s.Name, "error", err)
		}
	}
	g.send(order.Event{Kind: order.Ended, Name: s.Name, Why: why})
}

func (g *Group) live(ctx context.Context, s Service) error {
	if s.Prepare != nil {
		limited, cancel := context.WithTimeout(ctx, s.Limit)
		err := s.Prepare(limited)
		cancel()
		if err != nil {
			return fmt.Errorf("prepare %s: %w", s.Name, err)
		}
	}
	env := s.Env
	if len(env) == 0 {
		env = Env
	}
	p, err := process.Start(process.Spec{Name: s.Name, Path: s.Path, Args: s.Args, Env: env, RunDir: g.o.RunDir, LogDir: g.o.LogDir, Grace: s.Grace, Log: g.o.Log})
	if err != nil {
		return err
	}
	if s.ready(ctx, p.Died()) {
		g.o.Log.Info("a service is ready", "service", s.Name)
		g.send(order.Event{Kind: order.Ready, Name: s.Name})
		if g.o.Ready != nil {
			g.o.Ready(s.Name)
		}
	}
	select {
	case <-p.Died():
		return p.Err()
	case <-ctx.Done():
		return errors.Join(p.Stop(context.Background()), errors.New("ended on demand"))
	}
}

// ready returns true as soon as the service answers, false when it never will.
func (s Service) ready(ctx context.Context, died <-chan struct{}) bool {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, s.Limit)
		err := s.Ready(ask)
		cancel()
		if err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-died:
			return false
		case <-tick.C:
		}
	}
}
