package order

import (
	"slices"
	"time"
)

// declare makes the list of services the one that counts.
func (m *Machine) declare(now time.Time, services []Service, known map[string]Memory) {
	var all []*service
	for _, d := range services {
		s := m.byName[d.Name]
		switch {
		case s == nil:
			s = m.recall(now, d, known)
		default:
			s.redeclare(now, d)
		}
		all = append(all, s)
	}
	for _, s := range m.all {
		if !slices.Contains(all, s) {
			s.removed = true
			all = append(all, s) // until it has ended
		}
	}
	m.all = all
	m.byName = make(map[string]*service, len(all))
	for _, s := range all {
		m.byName[s.decl.Name] = s
	}
}

// recall makes a service, and goes on where an earlier core was with it.
func (m *Machine) recall(now time.Time, d Service, known map[string]Memory) *service {
	s := &service{decl: d}
	s.Memory = Memory{Version: d.Version, Phase: Waits, Since: now}
	if d.Recurs != nil && !d.AtOnce {
		s.Phase, s.Next = Scheduled, d.Recurs.Next(now)
	}
	old, ok := known[d.Name]
	if !ok {
		return s
	}
	s.Stopped, s.Restarts, s.Last = old.Stopped, old.Restarts, old.Last
	switch {
	case old.Phase.Alive():
		s.Memory = old // Adopted or Ended follows
		s.again = old.Version != d.Version
	case old.Version == d.Version && old.Phase != Waits && old.Phase != Blocked && old.Phase != Stopped:
		s.Memory = old
	}
	s.Version = d.Version
	return s
}

// redeclare leads to waits, or has one that runs by another declaration started
// anew. One that nothing changed of goes on.
func (s *service) redeclare(now time.Time, d Service) {
	changed := s.Version != d.Version || s.removed
	s.decl, s.Version, s.removed = d, d.Version, false
	if !changed {
		return
	}
	s.Pause, s.Starts = 0, nil
	if s.Phase.Alive() {
		s.again = true
	} else if !s.Stopped {
		s.to(now, Waits, "")
	}
}

// adopted leads to starting: whether it is ready is asked again.
func (s *service) adopted(now time.Time) {
	s.to(now, Starting, "")
	if s.endsByItself() {
		s.Phase = Running
	}
}
