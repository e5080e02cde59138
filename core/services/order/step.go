package order

import (
	"fmt"
	"slices"
	"time"
)

// to changes the phase.
func (s *service) to(now time.Time, p Phase, why string) {
	if s.Phase != p {
		s.Phase, s.Since = p, now
	}
	s.Why = why
	if !p.pauses() {
		s.Next = time.Time{}
	}
}

// pauses tells of a service that is started at its Next.
func (p Phase) pauses() bool { return p == Resting || p == Unmet || p == Scheduled }

// endsByItself tells of a service that is not to run for ever.
func (s *service) endsByItself() bool { return s.decl.Oneshot || s.decl.Recurs != nil }

// settle does what follows from how things are, and tells whether that changed
// anything.
func (m *Machine) settle(now time.Time) (changed bool) {
	if !m.begun {
		return false
	}
	for _, s := range m.all {
		was := s.Phase
		switch {
		case s.Phase == Ending:
		case s.Phase.Alive():
			m.alive(now, s)
		case !m.may(s, nil):
			m.kept(now, s)
		default:
			m.still(now, s)
		}
		changed = changed || s.Phase != was
	}
	return changed
}

// alive leads from starting, ready and running to ending.
func (m *Machine) alive(now time.Time, s *service) {
	switch {
	case !m.may(s, nil):
		if !m.needed(s) {
			m.end(now, s, "was told to end")
		}
	case s.again:
		m.end(now, s, "is started anew")
	case s.Phase == Starting && s.decl.Limit > 0 && !now.Before(s.Since.Add(s.decl.Limit)):
		s.late = true
		m.end(now, s, fmt.Sprintf("not ready within %v", s.decl.Limit))
	}
}

func (m *Machine) end(now time.Time, s *service, why string) {
	s.to(now, Ending, why)
	m.effects = append(m.effects, Effect{Kind: End, Name: s.decl.Name})
}

// kept leads from all that is not alive and may not be to stopped or blocked.
func (m *Machine) kept(now time.Time, s *service) {
	switch {
	case m.stopping || s.Stopped || s.removed:
		s.to(now, Stopped, "")
	case s.Phase != Done && s.Phase != Failed:
		s.to(now, Blocked, m.obstacle(s))
	}
}

// still leads from waits, blocked and stopped, and from resting, unmet and
// scheduled when it is time, to starting, running, blocked or waits.
func (m *Machine) still(now time.Time, s *service) {
	if s.Phase == Done || s.Phase == Failed || s.Phase.pauses() && now.Before(s.Next) {
		return
	}
	if why := m.obstacle(s); why != "" {
		s.to(now, Blocked, why)
	} else if d := m.awaited(s); d != nil {
		s.to(now, Waits, "for "+d.decl.Name)
	} else {
		m.start(now, s)
	}
}

// start leads to starting or running.
func (m *Machine) start(now time.Time, s *service) {
	s.Began = now
	if s.decl.MaxStarts > 0 {
		s.Starts = append(since(s.Starts, now.Add(-s.decl.Within)), now)
	}
	s.to(now, Starting, "")
	if s.endsByItself() {
		s.Phase = Running
	}
	m.effects = append(m.effects, Effect{Kind: Start, Name: s.decl.Name})
}

// since returns the times after one.
func since(times []time.Time, after time.Time) (late []time.Time) {
	for _, t := range times {
		if t.After(after) {
			late = append(late, t)
		}
	}
	return late
}

// answers leads from starting to ready.
func (s *service) answers(now time.Time) {
	if s.Phase == Starting {
		s.to(now, Ready, "")
	}
}

// wanted leads from all that is not alive to waits, and forgets failures.
func (s *service) wanted(now time.Time) {
	s.Stopped, s.Pause, s.Starts = false, 0, nil
	if !s.Phase.Alive() {
		s.to(now, Waits, "")
	}
}

// may tells whether a service may run: nobody stopped it, or what it needs.
// What it needs and has failed meanwhile does not end it.
func (m *Machine) may(s *service, asked []*service) bool {
	if m.stopping || s.Stopped || s.removed || slices.Contains(asked, s) {
		return false
	}
	asked = append(asked, s)
	return !slices.ContainsFunc(s.decl.After, func(name string) bool {
		d := m.byName[name]
		return d == nil || !m.may(d, asked)
	})
}

// obstacle says why a service cannot run, and will not be able to by itself.
func (m *Machine) obstacle(s *service) string {
	for _, name := range s.decl.After {
		d := m.byName[name]
		switch {
		case d == nil:
			return "needs " + name + ", which is not there"
		case d.Stopped || d.removed || !m.may(d, []*service{s}):
			return "needs " + name + ", which is stopped"
		case d.Phase == Failed || d.Phase == Blocked:
			return fmt.Sprintf("needs %s, which is %s: %s", name, d.Phase, d.Why)
		case d.Phase == Done && !d.decl.Oneshot:
			return "needs " + name + ", which has ended"
		}
	}
	return ""
}

// awaited is the first of what a service comes after that is not ready yet.
func (m *Machine) awaited(s *service) *service {
	for _, name := range s.decl.After {
		if d := m.byName[name]; !d.reached() {
			return d
		}
	}
	return nil
}

func (s *service) reached() bool {
	if s.decl.Recurs != nil {
		return s.Last != nil && s.Last.Known && s.Last.Code == 0
	}
	return s.Phase == Ready || s.Phase == Done && s.decl.Oneshot
}

// needed tells whether one that comes after a service still runs.
func (m *Machine) needed(s *service) bool {
	return slices.ContainsFunc(m.all, func(o *service) bool { return o.Phase.Alive() && slices.Contains(o.decl.After, s.decl.Name) })
}

// due is when time alone changes something; zero: never.
func (s *service) due() time.Time {
	switch {
	case s.Phase == Starting && s.decl.Limit > 0:
		return s.Since.Add(s.decl.Limit)
	case s.Phase.pauses():
		return s.Next
	}
	return time.Time{}
}

// finish forgets what is declared no more and has ended, and tells of the end
// of all.
func (m *Machine) finish() {
	m.all = slices.DeleteFunc(m.all, func(s *service) bool {
		gone := s.removed && !s.Phase.Alive()
		if gone {
			delete(m.byName, s.decl.Name)
			m.effects = append(m.effects, Effect{Kind: Keep, Name: s.decl.Name})
		}
		return gone
	})
	alive := slices.ContainsFunc(m.all, func(s *service) bool { return s.Phase.Alive() })
	if m.stopping && !alive && !m.over {
		m.over = true
		m.effects = append(m.effects, Effect{Kind: Over})
	}
}
