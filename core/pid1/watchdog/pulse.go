package watchdog

import (
	"slices"
	"sync"
	"time"
)

// Pulses is where the loops of PID 1 say that they turn.
type Pulses struct {
	uptime func() time.Duration
	mu     sync.Mutex
	loops  []loop
}

// loop is one of them; at is when it turned last.
type loop struct {
	name   string
	within time.Duration
	at     time.Duration
}

// NewPulses returns an empty list. Uptime must not depend on the clock.
func NewPulses(uptime func() time.Duration) *Pulses { return &Pulses{uptime: uptime} }

// Expect adds a loop that promises to call the returned function again within
// a time, for ever. A name that is there is replaced.
func (p *Pulses) Expect(name string, within time.Duration) (beat func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loops = slices.DeleteFunc(p.loops, func(l loop) bool { return l.name == name })
	p.loops = append(p.loops, loop{name, within, p.uptime()})
	return func() { p.beat(name) }
}

// Only forgives all others: from here on one loop counts, the one that brings
// the machine down.
func (p *Pulses) Only(name string, within time.Duration) (beat func()) {
	p.mu.Lock()
	p.loops = nil
	p.mu.Unlock()
	return p.Expect(name, within)
}

func (p *Pulses) beat(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.loops, func(l loop) bool { return l.name == name }); i >= 0 {
		p.loops[i].at = p.uptime()
	}
}

func (p *Pulses) stuck() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return stuck(p.uptime(), p.loops)
}

// stuck names the loops that have not turned in time. With one of them, the
// watchdog is not fed.
func stuck(now time.Duration, loops []loop) (names []string) {
	for _, l := range loops {
		if now-l.at > l.within {
			names = append(names, l.name)
		}
	}
	return names
}
