package trial

import (
	"fmt"
	"time"
)

// Steady is how long a node has to stay managed to be proved.
const Steady = 10 * time.Second

// Bounds of the time within which a new binary has to be managed.
const (
	DefaultWithin = 2 * time.Minute
	LeastWithin   = 15 * time.Second
	MostWithin    = 30 * time.Minute
)

// Verdict is what a Watch has found.
type Verdict string

// The verdicts.
const (
	Open   Verdict = "open"
	Proven Verdict = "proved"
	Lost   Verdict = "lost"
)

// Watch is a new binary's own eye on its trial: is the node managed, and does
// it stay so? It is a step function, and wants a clock that is not set.
type Watch struct {
	began   time.Time
	within  time.Duration
	managed time.Time // since when; zero: it is not
}

// NewWatch begins one.
func NewWatch(within time.Duration, now time.Time) *Watch {
	return &Watch{began: now, within: within}
}

// Step says how it stands. waitsFor is what the node waits for as long as it
// is not managed.
func (w *Watch) Step(managed bool, waitsFor string, now time.Time) (v Verdict, why string) {
	switch {
	case !managed:
		w.managed = time.Time{}
	case w.managed.IsZero():
		w.managed = now
	}
	switch {
	case managed && now.Sub(w.managed) >= Steady:
		return Proven, ""
	case managed: // it may be late, but then it has come
		return Open, ""
	case now.Sub(w.began) >= w.within:
		return Lost, fmt.Sprintf("it was not managed within %s: it waited for %s", w.within, waitsFor)
	}
	return Open, ""
}

// Act is what a guard does.
type Act string

// The acts. After TakeOver and Leave there is nothing left to guard.
const (
	Wait     Act = "wait"
	RollBack Act = "roll back"
	Kill     Act = "kill"
	TakeOver Act = "take over" // be g8os_core: nobody else starts it again
	Leave    Act = "leave"
)

// Times of a guard.
const (
	// GuardSlack is what a new binary has beyond its own time: as long as it
	// turns, it gives up by itself.
	GuardSlack = Steady + 20*time.Second
	// Supervised is how long whoever supervises g8os_core has to start it again.
	Supervised = 12 * time.Second
)

// Seen is what a guard sees.
type Seen struct {
	Trial   bool // it is open
	Alive   bool // the process on trial runs
	Answers bool // some g8os_core answers on the socket
}

// Guard is the old binary's eye on the new one: for one that ends, or hangs.
type Guard struct {
	began  time.Time
	within time.Duration
	gone   time.Time // since when no g8os_core has been seen; zero: one is there
	killed bool
}

// NewGuard begins one.
func NewGuard(within time.Duration, now time.Time) *Guard {
	return &Guard{began: now, within: within}
}

// Step says what to do now.
func (g *Guard) Step(s Seen, now time.Time) (act Act, why string) {
	if s.Trial && !s.Alive {
		return RollBack, "it ended before it had proved itself"
	}
	if s.Trial && now.Sub(g.began) >= g.within+GuardSlack {
		g.killed = true
		return RollBack, fmt.Sprintf("it hung: it neither proved itself nor gave up within %s", g.within+GuardSlack)
	}
	if s.Trial {
		return Wait, ""
	}
	if g.killed && s.Alive {
		return Kill, ""
	}
	if s.Alive || s.Answers {
		return Leave, ""
	}
	if g.gone.IsZero() {
		g.gone = now
	}
	if now.Sub(g.gone) >= Supervised {
		return TakeOver, ""
	}
	return Wait, ""
}
