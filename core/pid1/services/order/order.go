// Package order decides when services are started, started again and stopped.
//
// It is a step function: what happened goes in with the time, what to do comes
// out. It promises that a service is started once all it comes after are ready;
// that one that ends, or is not ready in time, is started again for ever, after
// growing pauses, and holds up only those that come after it; that after Stop
// nothing is started, and each is stopped before what it came after. Package
// services is its shell.
package order

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Pauses between runs of a service: they double. One that was ready for Steady
// begins the row anew.
const (
	MinPause = time.Second
	MaxPause = time.Minute
	Steady   = time.Minute
)

// Service is what the order needs to know of one.
type Service struct {
	Name  string
	After []string      // names of services; unknown ones count for nothing
	Limit time.Duration // from its start until it is ready
}

// Kind is what happened, or what to do.
type Kind string

// What happens.
const (
	Began Kind = "begin" // the services may start
	Ready Kind = "ready" // one answers
	Ended Kind = "ended" // one has ended, or could not be started
	Tick  Kind = "tick"  // time passed
	Stop  Kind = "stop"  // all are to end
)

// What to do.
const (
	Start Kind = "start" // start it, and say Ready or Ended
	End   Kind = "end"   // end it, and say Ended
	Done  Kind = "done"  // all have ended after Stop
)

// Event is what happened to a service.
type Event struct {
	Kind Kind
	Name string
	Why  string // with Ended
}

// Effect is what to do with one.
type Effect struct {
	Kind Kind
	Name string
}

type phase string

const (
	waiting  phase = "waits"
	starting phase = "starting"
	ready    phase = "ready"
	ending   phase = "ending"
	resting  phase = "failed"
	stopped  phase = "stopped"
)

type service struct {
	Service
	phase phase
	at    time.Duration // since when
	pause time.Duration // while resting
	why   string        // of the last failure
	asked bool          // End was said
}

// Machine is the order of some services.
type Machine struct {
	all      []*service
	begun    bool
	stopping bool
	done     bool
}

// New returns the machine; nothing is started before Began.
func New(services []Service) *Machine {
	m := &Machine{}
	for _, s := range services {
		m.all = append(m.all, &service{Service: s, phase: waiting})
	}
	return m
}

// Step takes in what happened at a time, and returns what to do and when to
// say Tick; zero: no need.
func (m *Machine) Step(now time.Duration, e Event) (effects []Effect, next time.Duration) {
	switch e.Kind {
	case Began:
		m.begun = true
	case Stop:
		m.stopping = true
	case Ready:
		if s := m.find(e.Name); s != nil && s.phase == starting {
			s.phase, s.at, s.why = ready, now, ""
		}
	case Ended:
		if s := m.find(e.Name); s != nil {
			s.ended(now, e.Why, m.stopping)
		}
	}
	if m.stopping {
		return m.stop(now), 0
	}
	return m.run(now)
}

// ended leads to resting, or to stopped.
func (s *service) ended(now time.Duration, why string, stopping bool) {
	if s.phase == ready && now-s.at >= Steady {
		s.pause = 0
	}
	if s.phase != ending || s.why == "" {
		s.why = why
	}
	s.pause = min(max(2*s.pause, MinPause), MaxPause)
	s.phase, s.at = resting, now
	if stopping {
		s.phase = stopped
	}
}

// run starts what may start and ends what did not become ready.
func (m *Machine) run(now time.Duration) (effects []Effect, next time.Duration) {
	if !m.begun {
		return nil, 0
	}
	for _, s := range m.all {
		switch {
		case s.phase == waiting && m.reached(s), s.phase == resting && now >= s.at+s.pause && m.reached(s):
			s.phase, s.at = starting, now
			effects = append(effects, Effect{Start, s.Name})
		case s.phase == starting && now >= s.at+s.Limit:
			s.phase, s.at = ending, now
			s.why = fmt.Sprintf("not ready within %v", s.Limit)
			effects = append(effects, Effect{End, s.Name})
		}
		next = earlier(next, s.due(now))
	}
	return effects, next
}

// due is when time alone changes something; zero: never.
func (s *service) due(now time.Duration) time.Duration {
	switch s.phase {
	case starting:
		return s.at + s.Limit
	case resting:
		if s.at+s.pause > now { // else it waits for another
			return s.at + s.pause
		}
	}
	return 0
}

func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// reached tells whether all that a service comes after are ready. One that was
// and failed since holds up a start, not those that run.
func (m *Machine) reached(s *service) bool {
	return !slices.ContainsFunc(s.After, func(name string) bool {
		a := m.find(name)
		return a != nil && a.phase != ready
	})
}

// stop ends the services from the last to the first.
func (m *Machine) stop(now time.Duration) (effects []Effect) {
	for _, s := range m.all {
		switch s.phase {
		case waiting, resting:
			s.phase = stopped
		}
	}
	for _, s := range m.all {
		if s.phase == stopped || s.asked || m.needed(s) {
			continue
		}
		s.asked = true
		if s.phase != ending {
			s.phase, s.at = ending, now
			effects = append(effects, Effect{End, s.Name})
		}
	}
	if !m.done && !slices.ContainsFunc(m.all, func(s *service) bool { return s.phase != stopped }) {
		m.done = true
		effects = append(effects, Effect{Kind: Done})
	}
	return effects
}

// needed tells whether one that comes after a service still runs.
func (m *Machine) needed(s *service) bool {
	return slices.ContainsFunc(m.all, func(o *service) bool { return o.phase != stopped && slices.Contains(o.After, s.Name) })
}

func (m *Machine) find(name string) *service {
	if i := slices.IndexFunc(m.all, func(s *service) bool { return s.Name == name }); i >= 0 {
		return m.all[i]
	}
	return nil
}

// Status is a line for a person: each service with its state, and why it
// failed.
func (m *Machine) Status() string {
	var parts []string
	for _, s := range m.all {
		text := s.Name + " " + string(s.phase)
		if s.why != "" && s.phase != stopped {
			text += " (" + s.why + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}
