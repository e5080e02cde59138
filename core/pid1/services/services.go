// Package services runs what the tools layer brings: Open vSwitch and docker.
//
// It promises that they run once the layer is mounted and until Stop, each
// started again when it ends, for ever, that what each writes is in NAME.log
// beside the boot log, bounded, and that a service whose program is not in the
// layer is left out. What runs, and how it is known to be ready, is the table in
// tools.go; the supervisor is that of core/services. It is not for programs of the
// operator's.
package services

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/services"
	"github.com/g8os/g8os/core/services/order"
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

// Pauses between runs of a service: they double. One that was ready for maxPause
// begins the row anew.
const (
	minPause = time.Second
	maxPause = time.Minute
)

// Options says where things are.
type Options struct {
	RunDir  string // pid files
	LogDir  string
	Changed func()            // Status has another answer; nil: nobody wants to know. It must not call back
	Ready   func(name string) // a service answers, also after it was started again; nil: as above
	Log     *slog.Logger
}

// Group is some services. Its methods may be called from anywhere.
type Group struct {
	o     Options
	run   *services.Supervisor
	begun chan struct{} // closed when Run has begun
	once  sync.Once
}

// New prepares the services; Run runs them.
func New(o Options) *Group {
	g := &Group{o: o, begun: make(chan struct{})}
	g.run = services.New(services.Options{Changed: o.Changed, Ready: g.answers, Log: o.Log})
	return g
}

func (g *Group) answers(name string) {
	g.o.Log.Info("a service is ready", "service", name)
	if g.o.Ready != nil {
		g.o.Ready(name)
	}
}

// Run runs the services until Stop or until ctx ends; it returns when all have
// ended.
func (g *Group) Run(ctx context.Context, all []Service) {
	var there []Service
	for _, s := range all {
		if _, err := os.Stat(s.Path); err != nil {
			g.o.Log.Warn("a service is left out: its program is not there", "service", s.Name, "error", err)
			continue
		}
		there = append(there, s)
	}
	declared := make([]services.Service, len(there))
	for i, s := range there {
		s.After = slices.DeleteFunc(slices.Clone(s.After), func(name string) bool {
			return !slices.ContainsFunc(there, func(o Service) bool { return o.Name == name })
		})
		declared[i] = s.declared(g.o)
	}
	g.run.Declare(declared)
	g.once.Do(func() { close(g.begun) })
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-ctx.Done():
			_ = g.run.Shutdown(context.WithoutCancel(ctx)) // waits for all
		case <-over:
		}
	}()
	<-g.run.Over()
}

// declared is one as the supervisor takes it.
func (s Service) declared(o Options) services.Service {
	d := services.Service{
		Service: order.Service{Name: s.Name, After: s.After, Limit: s.Limit, Restart: order.Always, MinPause: minPause, MaxPause: maxPause},
		Runtime: tool{s, o},
	}
	if s.Prepare != nil {
		d.Prepare = func(ctx context.Context) error {
			if err := s.Prepare(ctx); err != nil {
				return fmt.Errorf("prepare %s: %w", s.Name, err)
			}
			return nil
		}
	}
	return d
}

// Stop ends the services in order, and returns when they have ended or ctx has.
func (g *Group) Stop(ctx context.Context) error {
	select {
	case <-g.begun:
		return g.run.Shutdown(ctx)
	default:
		return nil // never run
	}
}

// Status says in one line how the services are, and why one failed; empty before
// Run.
func (g *Group) Status() string {
	var parts []string
	for _, s := range g.run.States() {
		parts = append(parts, status(s))
	}
	return strings.Join(parts, ", ")
}

func status(s api.ServiceState) string {
	text, why := s.State, s.Why
	switch order.Phase(s.State) {
	case order.Stopped:
		why = ""
	case order.Resting:
		text = "failed"
	case order.Starting:
		if why == "" && s.Last != nil { // again
			why = s.Last.Why
		}
	}
	if why != "" {
		text += " (" + why + ")"
	}
	return s.Name + " " + text
}
