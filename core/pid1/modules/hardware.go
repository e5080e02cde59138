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

// Hardware loads what devices ask for, each alias once: what a node needs to
// reach its controller and its disks, and when that is done and Release was
// called the rest, with the time nobody else wants.
type Hardware struct {
	Sys    string // where sysfs is mounted
	Loader *Loader
	Log    *slog.Logger

	mu       sync.Mutex
	queue    [classes][]Device
	at       [classes]int // taken from the queue, and not done yet
	cpus     int
	released bool
	first    []string // names to load when released
	seen     map[string]bool
	news     *sync.Cond
}

// NewHardware returns a Hardware that has looked at nothing yet.
func NewHardware(sys string, l *Loader, log *slog.Logger) *Hardware {
	h := &Hardware{Sys: sys, Loader: l, Log: log, cpus: runtime.NumCPU(), seen: map[string]bool{}}
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

// Busy tells whether devices wait for modules of a class, or of one before it.
func (h *Hardware) Busy(c Class) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.busy(c)
}

// busy is Busy. The lock is held.
func (h *Hardware) busy(c Class) bool {
	return len(h.queue[c])+h.at[c] > 0 || (c > First && h.busy(c-1))
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
	var all sync.WaitGroup
	all.Go(func() { h.run(ctx, First) })
	all.Go(func() {
		yield(10)
		h.run(ctx, Soon)
	})
	all.Go(func() {
		yield(19)
		h.rest(ctx)
		h.run(ctx, Later)
	})
	all.Wait()
}

// yield gives way to those who bring the node up meanwhile. It keeps the thread,
// which is of no use to others after this.
func yield(nice int) {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice) // then boot is slower
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

// turn tells whether a class may be loaded now. With one processor there is
// nothing to be had from doing two things at once. The lock is held.
func (h *Hardware) turn(c Class) bool {
	switch c {
	case First:
		return true
	case Soon:
		return h.cpus > 1 || !h.busy(First)
	}
	return h.released && !h.busy(Soon)
}

// serve loads the modules of some devices: network cards and what can wait one
// after the other, in the order of the bus; disks side by side, as some take a
// second to start.
func (h *Hardware) serve(batch []Device, c Class) {
	aliases := make([]string, len(batch))
	for i, d := range batch {
		aliases[i] = d.Alias
	}
	byAlias, err := h.Loader.index.Resolve(aliases)
	if err != nil {
		h.Log.Error("devices get no drivers", "error", err)
	}
	names := inOrder(batch, byAlias)
	if c != Soon || h.cpus == 1 {
		h.load(names...)
	} else {
		var g errgroup.Group
		g.SetLimit(h.cpus)
		for _, name := range names {
			g.Go(func() error { h.load(name); return nil })
		}
		_ = g.Wait()
	}
	if c == First { // virtio's devices are there now; their events may not have been read yet
		h.add(Devices(h.Sys, "virtio")...)
	}
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

// inOrder returns the modules of a batch by the order of the bus, each once.
func inOrder(batch []Device, byAlias map[string][]string) (names []string) {
	batch = slices.Clone(batch)
	slices.SortStableFunc(batch, func(a, b Device) int { return strings.Compare(a.Path, b.Path) })
	for _, d := range batch {
		for _, name := range byAlias[d.Alias] {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
