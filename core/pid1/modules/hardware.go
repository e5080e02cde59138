package modules

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Hardware loads what devices ask for, each alias once: first what a node
// needs to reach its disks and its controller, the rest when that is done and
// Release was called, one after the other and with the time nobody else wants.
type Hardware struct {
	Sys    string // where sysfs is mounted
	Loader *Loader
	Log    *slog.Logger

	mu       sync.Mutex
	queue    [2][]Device // by Class
	at       [2]int      // taken from the queue, and not done yet
	released bool
	first    []string // names to load when released
	seen     map[string]bool
	news     *sync.Cond
}

// NewHardware returns a Hardware that has looked at nothing yet.
func NewHardware(sys string, l *Loader, log *slog.Logger) *Hardware {
	h := &Hardware{Sys: sys, Loader: l, Log: log, seen: map[string]bool{}}
	h.news = sync.NewCond(&h.mu)
	return h
}

// Scan asks for the devices that are there, on the buses that lead to what is
// wanted soon; Release looks at the others.
func (h *Hardware) Scan() { h.add(Devices(h.Sys, soonBuses...)...) }

// Take asks for the device of an event, if it is new and says what it is.
func (h *Hardware) Take(ev Event) {
	if alias := ev.Vars["MODALIAS"]; ev.Action == "add" && alias != "" {
		h.add(Device{Path: strings.TrimPrefix(ev.Path, "/devices/"), Alias: alias})
	}
}

// Release lets the modules be loaded that can wait, these names first.
func (h *Hardware) Release(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return
	}
	h.released, h.first = true, names
	h.at[Later]++ // the look at all buses
	h.news.Broadcast()
}

// rest is the first work of the class that can wait.
func (h *Hardware) rest(ctx context.Context) {
	h.mu.Lock()
	for ctx.Err() == nil && !h.turn(Later) {
		h.news.Wait()
	}
	names := h.first
	h.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	h.load(names...)
	h.add(Devices(h.Sys)...)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at[Later]--
}

// Busy tells whether devices wait for modules of a class.
func (h *Hardware) Busy(c Class) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.queue[c])+h.at[c] > 0
}

func (h *Hardware) add(ds ...Device) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range ds {
		if !h.seen[d.Alias] {
			h.seen[d.Alias] = true
			c := ClassOf(d.Alias)
			h.queue[c] = append(h.queue[c], d)
		}
	}
	h.news.Broadcast()
}

// Run loads until ctx ends.
func (h *Hardware) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.news.Broadcast()
	})()
	var both sync.WaitGroup
	both.Go(func() { h.run(ctx, Soon) })
	both.Go(func() {
		runtime.LockOSThread() // for good: the thread is of no use to others after this
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
		h.rest(ctx)
		h.run(ctx, Later)
	})
	both.Wait()
}

func (h *Hardware) run(ctx context.Context, c Class) {
	for {
		batch := h.next(ctx, c)
		if len(batch) == 0 {
			return
		}
		h.serve(batch, c)
		h.mu.Lock()
		h.at[c] -= len(batch)
		h.news.Broadcast() // the other class may have waited for this
		h.mu.Unlock()
	}
}

// next waits for devices of a class, and takes them. None: ctx has ended.
func (h *Hardware) next(ctx context.Context, c Class) []Device {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ctx.Err() == nil {
		if batch := h.queue[c]; len(batch) > 0 && h.turn(c) {
			h.queue[c], h.at[c] = nil, len(batch)
			return batch
		}
		h.news.Wait()
	}
	return nil
}

// turn tells whether a class may be loaded now. The lock is held.
func (h *Hardware) turn(c Class) bool {
	return c == Soon || (h.released && len(h.queue[Soon])+h.at[Soon] == 0)
}

// serve loads the modules of some devices: those of network cards in the order
// of the bus, the others side by side, as some take a second to start; what can
// wait, one after the other.
func (h *Hardware) serve(batch []Device, c Class) {
	aliases := make([]string, len(batch))
	for i, d := range batch {
		aliases[i] = d.Alias
	}
	byAlias, err := h.Loader.index.Resolve(aliases)
	if err != nil {
		h.Log.Error("devices get no drivers", "error", err)
	}
	cards, others := lanes(batch, byAlias)
	if c == Later {
		h.load(others...)
		return
	}
	var g errgroup.Group
	g.SetLimit(1 + runtime.NumCPU())
	g.Go(func() error { h.load(cards...); return nil })
	for _, name := range others {
		g.Go(func() error { h.load(name); return nil })
	}
	_ = g.Wait()
}

func (h *Hardware) load(names ...string) {
	for _, name := range names {
		h.say(name, h.Loader.Load(name))
	}
}

func (h *Hardware) say(name string, err error) {
	switch {
	case err == nil:
		h.Log.Debug("kernel module loaded", "module", name)
	case absent(err): // drivers for hardware that may be there say so like this, kvm_intel for one
		h.Log.Debug("kernel module does not want this machine", "module", name, "error", err)
	default:
		h.Log.Warn("a device gets no driver", "module", name, "error", err)
	}
}

// lanes sorts the modules of a batch: those of network cards, by the bus, and
// the rest.
func lanes(batch []Device, byAlias map[string][]string) (cards, others []string) {
	batch = slices.Clone(batch)
	slices.SortStableFunc(batch, func(a, b Device) int { return strings.Compare(a.Path, b.Path) })
	for _, d := range batch {
		for _, name := range byAlias[d.Alias] {
			switch {
			case slices.Contains(cards, name) || slices.Contains(others, name):
			case IsNetwork(d.Alias):
				cards = append(cards, name)
			default:
				others = append(others, name)
			}
		}
	}
	return cards, others
}
