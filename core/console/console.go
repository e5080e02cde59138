// Package console shows the first screen of a node on the machine's consoles.
//
// Which ones is the kernel's word (/sys/class/tty/console/active): on a screen
// (tty0) it is drawn again when something changed and once a second; on a
// serial line it is plain text, written only when a person would care.
//
// It promises to follow g8os_core through its restarts, to keep the kernel's
// chatter off the screen once it draws there (errors still come through), and
// that a console nobody reads, a flow-controlled line for one, holds up nobody
// but itself. What is shown, and when, is decided in package screen.
package console

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/console/screen"
	"github.com/g8os/g8os/core/local"
)

// Options says where a console's things are.
type Options struct {
	// Facts returns what the caller knows: version, state, tools, daemon,
	// notices, logs. Host name, kernel, uptime and interfaces are read here
	// where they are left empty. It is called often, by one goroutine.
	Facts   func() screen.Facts
	Socket  string // of g8os_core; empty: local.Socket
	Active  string // file that names the consoles; empty: the kernel's
	Devices string // folder of the consoles; empty: /dev
	Log     *slog.Logger
}

// How often the machine itself is looked at, when g8os_core says nothing new.
const (
	second = time.Second
	gap    = 250 * time.Millisecond // between two looks at least: while a node climbs, something is new all the time
	asleep = 10 * time.Second       // with nobody but serial lines looking, once managed
	retry  = 500 * time.Millisecond
)

// Console is the consoles of this machine.
type Console struct {
	o     Options
	wake  chan struct{}
	mu    sync.Mutex
	got   *api.Status
	fresh bool // a status came since the socket was opened last
	since stopwatch
	real  bool // these are the machine's own consoles
}

// New prepares the consoles; Run draws.
func New(o Options) *Console {
	if o.Socket == "" {
		o.Socket = local.Socket
	}
	if o.Active == "" {
		o.Active = "/sys/class/tty/console/active"
	}
	real := o.Devices == ""
	if real {
		o.Devices = "/dev"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Console{o: o, wake: make(chan struct{}, 1), real: real}
}

// Changed has the consoles look at the facts now.
func (c *Console) Changed() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run draws until ctx ends.
func (c *Console) Run(ctx context.Context) {
	outs := c.open()
	if len(outs) == 0 {
		return
	}
	screens := false
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, o := range outs {
		wg.Go(func() { o.run(ctx) })
		screens = screens || o.screen
	}
	if screens && c.real {
		quieten()
	}
	wg.Go(func() { c.follow(ctx) })
	for {
		looked := time.Now()
		v := c.view()
		for _, o := range outs {
			o.show(v)
		}
		pause := time.NewTimer(c.pause(screens, v))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-c.wake:
			select {
			case <-ctx.Done():
			case <-time.After(gap - time.Since(looked)):
			}
		case <-pause.C:
		}
		pause.Stop()
	}
}

func (c *Console) pause(screens bool, v screen.View) time.Duration {
	if !screens && v.Status != nil && v.Status.WaitsFor == "" && v.Daemon == "" {
		return asleep
	}
	return second
}

// follow keeps the status up to date, through restarts of g8os_core.
func (c *Console) follow(ctx context.Context) {
	client := local.Client{Path: c.o.Socket}
	for ctx.Err() == nil {
		_ = client.Watch(ctx, func(s api.Status) bool { // its error is what Facts.Daemon says better
			c.take(&s)
			return true
		})
		c.take(nil)
		pause := time.NewTimer(retry)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// take keeps the last status of a g8os_core that has gone: it is still true of
// addresses and phase, mostly, and Facts.Daemon says what it is worth.
func (c *Console) take(s *api.Status) {
	c.mu.Lock()
	was := c.fresh
	if c.fresh = s != nil; s != nil {
		c.got = s
		c.since.note(s.Since, time.Now(), Uptime())
	}
	c.mu.Unlock()
	if s != nil || was {
		c.Changed()
	}
}

func (c *Console) view() screen.View {
	v := screen.View{Facts: c.o.Facts()}
	fill(&v.Facts)
	c.mu.Lock()
	defer c.mu.Unlock()
	v.Status, v.Waiting = c.got, c.since.elapsed(v.Uptime)
	if v.Daemon == "" && v.Status != nil && !c.fresh {
		v.Daemon = "does not answer"
	}
	return v
}

// stopwatch measures how long the node waits by the machine's uptime: the clock
// may be set meanwhile, by years.
type stopwatch struct {
	since time.Time     // what g8os_core said
	start time.Duration // uptime then
}

func (s *stopwatch) note(since, now time.Time, up time.Duration) {
	if since.Equal(s.since) {
		return
	}
	ago := now.Sub(since)
	if ago < 0 || ago > up {
		ago = 0
	}
	s.since, s.start = since, up-ago
}

func (s *stopwatch) elapsed(up time.Duration) time.Duration { return max(0, up-s.start) }
