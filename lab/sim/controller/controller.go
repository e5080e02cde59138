// Package controller is the shell around a simulated AC: what ac-mock/server,
// ac-mock/hub and their goroutines are on a machine. The registry, the CA, the
// sealer, the armed faults, the queue of jobs and the decisions about sessions run in it
// as they are, on a store in memory.
//
//	ether ─ Hello, Request, frames ─▶ serve ─▶ registry, ca ─▶ store (shared by ACs)
//	                                    └────▶ dispatch (sessions), jobs ─▶ store, output
//
// It promises that a kill loses what a kill loses: sessions, and nothing that the
// store or the files of output have acknowledged; and that other ACs hear of a write after the delay of the store. Limits on connections, which
// ac-mock/server keeps for real sockets, are not here.
package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/ac-mock/rotate/drive"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/sim/channel"
	"github.com/g8os/g8os/lab/sim/engine"
	"github.com/g8os/g8os/lab/sim/ether"
)

// Watcher is told what an outsider could see, for facts and the history.
type Watcher interface {
	Released(c *Controller, peer string, node api.Node, device []byte, counter uint64)
	Granted(c *Controller, peer string, id api.NodeID, what string)
	Changed() // the store may have
}

// Options are what the ACs of a grid share, and what is an AC's own.
type Options struct {
	Name     string
	Grid     string
	Policy   enrol.Policy
	Limits   enrol.Limits
	NodeLife time.Duration // of certificates
	Epoch    time.Time     // the grid's time zero
	Store    *memory.Store
	Seal     *seal.Sealer
	Root     ca.Root
	Judge    *channel.Judge // nil until the CA exists; then by SetJudge
	Watcher  Watcher
	// Elsewhere says whether a node has a session with another AC.
	Elsewhere func(c *Controller, id api.NodeID) bool
	Log       *slog.Logger
}

// Controller is one AC.
type Controller struct {
	Host   *ether.Host
	Faults *fault.Set

	o     Options
	e     *engine.Engine
	rng   engine.Stream
	clock time.Duration // what the clock is ahead of the grid's time
	store *memory.Client
	said  *said // what is on its disk of the output of jobs
	run   *run  // nil: g8os_ac does not run
}

// run is one run of g8os_ac.
type run struct {
	*Controller
	ca       *ca.CA
	registry *registry.Registry
	own      func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	rotating *drive.Driver
	turning  bool
	chains   map[*x509.Certificate][]*x509.Certificate
	wrong    []*x509.Certificate
	presence *dispatch.Presence
	jobs     *jobs.Queue
	writing  bool // the queue is settled in a moment
	sessions map[api.NodeID]*session
	numbers  uint64
	conns    map[*conn]bool
	frozen   bool
	missed   []func()
	settling time.Duration // when the registry is settled next
	soon     bool
	heard    struct{ ca, node int64 } // revisions of the store up to which news were heard
}

// New makes an AC that does not run.
func New(e *engine.Engine, host *ether.Host, o Options) *Controller {
	return &Controller{
		Host: host, Faults: fault.NewSet(true), o: o, e: e, rng: e.Stream("ac " + o.Name), store: o.Store.Client(), said: newSaid(),
	}
}

// Name of the AC.
func (c *Controller) Name() string { return c.o.Name }

// SetJudge tells who judges the certificates of nodes.
func (c *Controller) SetJudge(j *channel.Judge) { c.o.Judge = j }

// Now is the AC's clock.
func (c *Controller) Now() time.Time { return c.o.Epoch.Add(c.e.Now() + c.clock) }

// Jump moves the AC's clock.
func (c *Controller) Jump(by time.Duration) { c.clock += by }

// Store is the AC's way to the store, to cut it off.
func (c *Controller) Store() *memory.Client { return c.store }

// Running says whether g8os_ac runs and is not frozen.
func (c *Controller) Running() bool { return c.run != nil && !c.run.frozen }

// CA is that of the AC that runs; nil when it does not.
func (c *Controller) CA() *ca.CA {
	if c.run == nil {
		return nil
	}
	return c.run.ca
}

// Start starts g8os_ac, unless it runs. Without its store it fails, as the
// real one does, and may be started again.
func (c *Controller) Start() error {
	if c.run != nil {
		return nil
	}
	r := &run{
		Controller: c, sessions: map[api.NodeID]*session{}, conns: map[*conn]bool{}, chains: map[*x509.Certificate][]*x509.Certificate{},
		presence: dispatch.NewPresence(dispatch.DefaultTiming.Silence),
	}
	ctx := context.Background()
	var err error
	r.ca, err = ca.New(ctx, ca.Options{
		Store: c.store, Seal: c.o.Seal, Grid: c.o.Grid, Root: c.o.Root, NodeLife: c.o.NodeLife,
		Clock: c.Now, Log: c.o.Log, Rand: c.rng, NewKey: newKey(c.rng),
	})
	if err != nil {
		return fmt.Errorf("start AC %s: %w", c.o.Name, err)
	}
	r.registry, err = registry.New(ctx, registry.Options{
		Store: c.store, Seal: c.o.Seal, CA: r.ca, Policy: c.o.Policy, Limits: c.o.Limits, Grid: c.o.Grid,
		Clock: c.Now, Log: c.o.Log, Rand: c.rng,
	})
	if err != nil {
		return fmt.Errorf("start AC %s: %w", c.o.Name, err)
	}
	if r.own, err = r.ca.Server(ca.ServerOptions{Name: c.o.Name}); err != nil {
		return fmt.Errorf("start AC %s: %w", c.o.Name, err)
	}
	if r.jobs, err = r.queue(ctx); err != nil {
		return fmt.Errorf("start AC %s: %w", c.o.Name, err)
	}
	r.rotating = r.rotations()
	r.heard.ca, r.heard.node = r.ca.Revision(), r.registry.Revision()
	c.run = r
	c.Host.Powered = true
	c.Host.Listen(func(end *ether.End) { r.accept(end) })
	r.tend()
	r.tick()
	return nil
}

// Kill ends g8os_ac as SIGKILL does: connections are reset, ports refuse.
func (c *Controller) Kill() {
	r := c.run
	if r == nil {
		return
	}
	c.run = nil
	c.Host.Listen(nil)
	c.Host.CloseAll()
}

// Freeze stops g8os_ac as SIGSTOP does; Thaw lets it go on.
func (c *Controller) Freeze() {
	if c.run != nil {
		c.run.frozen = true
	}
}

// Thaw undoes Freeze.
func (c *Controller) Thaw() {
	r := c.run
	if r == nil || !r.frozen {
		return
	}
	r.frozen = false
	missed := r.missed
	r.missed = nil
	for _, do := range missed {
		if c.run == r {
			do()
		}
	}
}

// after has something happen to this run, unless it has ended by then.
func (r *run) after(d time.Duration, do func()) {
	r.e.After(d, func() { r.lets(do) })
}

// lets something happen, now or when the run is thawed.
func (r *run) lets(do func()) {
	switch {
	case r.Controller.run != r:
	case r.frozen:
		r.missed = append(r.missed, do)
	default:
		do()
	}
}

// tickEvery is how often sessions and jobs are looked at (ac-mock/hub).
const tickEvery = 3500 * time.Millisecond

// tick is what the hub and the server do from time to time.
func (r *run) tick() {
	now := r.Now()
	for _, id := range r.presence.Silent(now) {
		if s := r.sessions[id]; s != nil {
			s.leave(api.CloseSilent)
		}
	}
	r.jobs.Tick(context.Background())
	r.write()
	r.Faults.Expire(now)
	r.rotate()
	r.revokedNow()
	if r.e.Now() >= r.settling {
		r.settle()
	}
	r.after(tickEvery, r.tick)
}

// settle has the registry write what may be late.
func (r *run) settle() {
	next := r.registry.Settle(context.Background())
	r.settling = r.e.Now() + next.Sub(r.Now())
	r.revokedNow()
	r.o.Watcher.Changed()
}

// settleSoon does so in a moment, once.
func (r *run) settleSoon() {
	if r.soon {
		return
	}
	r.soon = true
	r.after(time.Millisecond, func() {
		r.soon = false
		r.settle()
	})
}

// tend is what the CA does from time to time.
func (r *run) tend() {
	r.ca.Tend(context.Background())
	r.after(time.Hour, r.tend)
}

// News is a change of the store that this AC may not have heard of.
func (c *Controller) News() {
	r := c.run
	if r == nil {
		return
	}
	r.lets(func() {
		ctx := context.Background()
		if b := r.o.Store.Since("ca/", r.heard.ca+1); len(b.Events) > 0 || b.Err != nil {
			_ = r.ca.Take(ctx, b) // what cannot be read now is read with the next news
			r.heard.ca = max(b.Revision, r.ca.Revision())
			r.recheck()
		} else {
			r.heard.ca = max(b.Revision, r.heard.ca)
		}
		b := r.o.Store.Since("node/", r.heard.node+1)
		if b.Err != nil {
			_ = r.registry.Reload(ctx)
			r.heard.node = r.registry.Revision()
		} else {
			_ = r.registry.Take(b)
			r.heard.node = max(b.Revision, r.heard.node)
		}
		r.revokedNow()
		r.heardOfJobs(ctx)
	})
}
