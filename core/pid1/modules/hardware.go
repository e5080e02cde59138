package modules

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Hardware loads what devices ask for, each alias once.
type Hardware struct {
	Sys    string // where sysfs is mounted
	Loader *Loader
	Log    *slog.Logger

	mu    sync.Mutex
	queue []Device
	wake  chan struct{}
	seen  map[string]bool
	busy  atomic.Int32
}

// NewHardware returns a Hardware that has looked at nothing yet.
func NewHardware(sys string, l *Loader, log *slog.Logger) *Hardware {
	return &Hardware{Sys: sys, Loader: l, Log: log, wake: make(chan struct{}, 1), seen: map[string]bool{}}
}

// Scan asks for all devices that are there.
func (h *Hardware) Scan() { h.add(Devices(h.Sys)...) }

// Take asks for the device of an event, if it is new and says what it is.
func (h *Hardware) Take(ev Event) {
	if alias := ev.Vars["MODALIAS"]; ev.Action == "add" && alias != "" {
		h.add(Device{Path: strings.TrimPrefix(ev.Path, "/devices/"), Alias: alias})
	}
}

// Busy tells whether devices wait for their modules.
func (h *Hardware) Busy() bool { return h.busy.Load() > 0 }

func (h *Hardware) add(ds ...Device) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range ds {
		if !h.seen[d.Alias] {
			h.seen[d.Alias] = true
			h.queue = append(h.queue, d)
			h.busy.Add(1)
		}
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run loads until ctx ends.
func (h *Hardware) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		h.mu.Lock()
		batch := h.queue
		h.queue = nil
		h.mu.Unlock()
		if len(batch) > 0 {
			h.serve(batch)
			h.busy.Add(int32(-len(batch)))
		}
	}
}

// serve loads the modules of some devices: those of network cards in the order
// of the bus, the others side by side, as some take a second to start.
func (h *Hardware) serve(batch []Device) {
	aliases := make([]string, len(batch))
	for i, d := range batch {
		aliases[i] = d.Alias
	}
	byAlias, err := h.Loader.index.Resolve(aliases)
	if err != nil {
		h.Log.Error("devices get no drivers", "error", err)
	}
	cards, others := lanes(batch, byAlias)
	var g errgroup.Group
	g.SetLimit(1 + runtime.NumCPU())
	g.Go(func() error {
		for _, name := range cards {
			h.load(name)
		}
		return nil
	})
	for _, name := range others {
		g.Go(func() error { h.load(name); return nil })
	}
	_ = g.Wait()
}

func (h *Hardware) load(name string) {
	err := h.Loader.Load(name)
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

// Dir is where the modules of a kernel are in a tree.
func Dir(root, release string) string { return filepath.Join(root, "usr/lib/modules", release) }
